/* SPDX-License-Identifier: ISC
 * unacked: verdicts that qmgr has not yet taken, oldest first, in a fixed
 * store.  An agent keeps each until it is acknowledged, and tells it again on a
 * new job socket.  Pure but for the memory that it lives in.
 */
#ifndef UNACKED_H
#define UNACKED_H

#include "common/limits.h"
#include "common/packet.h"
#include "common/verdict.h"

enum { UNACKED_BYTES = 512 * 1024 };

struct unacked {
	size_t start, end, sent; /* offsets into bytes; sent: told up to here */
	size_t waiting;		 /* records that are not taken */
	char bytes[UNACKED_BYTES];
};

/* Room for count more verdicts?  Compacts the store first. */
bool unacked_room(struct unacked *, size_t count);
/* Adds one; the text is cut to LIMIT_REPORT.  The room must have been there. */
void unacked_add(
    struct unacked *, uint64_t id, uint32_t idx, enum verdict, struct str text);
/* Reads a `K` of qmgr's: it has taken these; one that is not there is ignored.
 * False: malformed. */
bool unacked_take(struct unacked *, struct packet *);
/* Makes the next packet `R` of what was not told yet.  False: all is told. Call
 * unacked_told when the packet was sent. */
bool unacked_next(const struct unacked *, struct buf *packet, size_t *upto);
void unacked_told(struct unacked *, size_t upto);
/* A new job socket: nothing was told on it. */
void unacked_untell(struct unacked *);

#endif
