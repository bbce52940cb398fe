/* SPDX-License-Identifier: ISC
 * outlet: frames to a socket or a file, gathered to large writes.
 */
#ifndef OUTLET_H
#define OUTLET_H

#include "common/frame.h"
#include "common/limits.h"

enum { OUTLET_ROOM = 4 * LIMIT_FRAME };

struct outlet {
	int fd;		     /* a socket is non-blocking */
	int64_t deadline_ms; /* of clock_mono_ms */
	uint64_t written;    /* bytes */
	struct buf out;
	char room[OUTLET_ROOM];
};

void outlet_init(struct outlet *, int fd, int64_t deadline_ms);
/* Puts a frame.  0, or -1 with errno (ETIMEDOUT: the deadline is over). */
int outlet_put(struct outlet *, char type, struct str payload);
/* Writes what was put.  As outlet_put. */
int outlet_flush(struct outlet *);
/* Milliseconds that are left, for io_wait; at least 0. */
int outlet_left_ms(int64_t deadline_ms);

#endif
