/* SPDX-License-Identifier: ISC
 * bytes: byte buffers that grow, all of them under one limit for the process,
 * so that no number of senders can make queued grow without bound.
 */
#ifndef BYTES_H
#define BYTES_H

#include "common/str.h"

struct bytes {
	char *p;
	size_t n, cap;
	bool vital; /* not refused by the limit: what is durable hangs on it */
};

/* Spare room behind n that a record's padding may use (RECORD_ALIGN). */
enum { BYTES_SLACK = 8 };

/* The most that all buffers together may hold, in bytes. */
void bytes_limit(size_t total);
/* What they hold now. */
size_t bytes_in_use(void);
/* Makes room for n bytes in all.  False: over the limit, or no memory; the
 * content stays as it is. */
bool bytes_reserve(struct bytes *, size_t n);
/* Appends s.  False as above. */
bool bytes_put(struct bytes *, struct str s);
/* Takes the first n bytes away. */
void bytes_drop(struct bytes *, size_t n);
/* Gives the memory back; the buffer is empty and can be used again. */
void bytes_free(struct bytes *);
struct str bytes_str(const struct bytes *);

#endif
