/* SPDX-License-Identifier: ISC
 * errand: queued's end of the socket to settle: puts requests together and
 * takes the answers (settle.h).  What is asked, and when, is tend's.
 */
#ifndef ERRAND_H
#define ERRAND_H

#include "common/packet.h"
#include "queue/draft.h"
#include "queue/settle.h"

/* fds: from settle_start; answered is called for each answer.  Dies when a
 * settle goes away. */
void errand_init(const int fds[SETTLE_PROCESSES],
    void (*answered)(char type, uint64_t id, int error));
/* False: the settle that tends has as many requests as it may have. */
bool errand_may_ask(void);
/* Each sends a request.  False: there is no room for it now, but when settle
 * has answered something. */
bool errand_simple(char type, uint64_t a, uint64_t b);
/* Has a large message named, by a settle that has little to do. */
bool errand_publish(const struct draft *);
/* Appends what the file of e lacks, from the extra x on.  Several requests,
 * counted in e->ops; false: not all went. */
bool errand_append(struct ledger_entry *e, const struct ledger_extra *x);
/* Has a file made of e's record in this segment, the file-th of the journal. */
bool errand_make(
    struct ledger_entry *e, const struct segment *seg, uint32_t file);

#endif
