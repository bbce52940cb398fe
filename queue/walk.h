/* SPDX-License-Identifier: ISC
 * walk: goes over the index for an administrator, a bounded piece for each
 * question, so that deliveries never wait for a list.  Part of qmgr; the
 * packets are in INTERNALS.md, "Ask: qmgr".
 */
#ifndef WALK_H
#define WALK_H

#include "queue/select.h"

/* Answers a question `L` in *out.  False: it breaks the rules. */
bool walk_list(struct packet *, struct buf *out);

struct walk_done {
	uint64_t next; /* cursor of the next question; 0: that was all */
	uint32_t at, end;
	uint32_t messages, rcpts, flying;
};

/* Obeys a question `A`, for a piece of what it selects.  False: it breaks the
 * rules. */
bool walk_order(struct packet *, struct walk_done *);
/* What `walk_order` did, as the answer `a`. */
void walk_answer(const struct walk_done *, struct buf *out);

#endif
