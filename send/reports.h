/* SPDX-License-Identifier: ISC
 * reports: verdicts that qmgr has not yet taken, oldest first, in a fixed
 * store.  An agent keeps each until it is acknowledged, and tells it again on a
 * new job socket.  Pure but for the memory that it lives in.
 */
#ifndef REPORTS_H
#define REPORTS_H

#include "common/limits.h"
#include "common/packet.h"
#include "common/verdict.h"

enum { REPORTS_BYTES = 512 * 1024 };

struct reports {
	size_t start, end, sent; /* offsets into bytes; sent: told up to here */
	size_t waiting;		 /* records that are not taken */
	char bytes[REPORTS_BYTES];
};

/* Room for count more verdicts?  Compacts the store first. */
bool reports_room(struct reports *, size_t count);
/* Adds one; the text is cut to LIMIT_REPORT.  The room must have been there. */
void reports_add(
    struct reports *, uint64_t id, uint32_t idx, enum verdict, struct str text);
/* qmgr has taken this one; one that is not there is ignored. */
void reports_taken(struct reports *, uint64_t id, uint32_t idx);
/* Makes the next packet `R` of what was not told yet, all of one id.  False:
 * all is told.  Call reports_told when the packet was sent. */
bool reports_next(const struct reports *, struct buf *packet, size_t *upto);
void reports_told(struct reports *, size_t upto);
/* A new job socket: nothing was told on it. */
void reports_untell(struct reports *);

#endif
