/* SPDX-License-Identifier: ISC
 * teller: the link to qmgr (INTERNALS.md "Notes").  What it has not been told
 * yet is wherever the cursor stands in the ledger: a slow qmgr makes it lag,
 * and nothing is lost.
 */
#ifndef TELLER_H
#define TELLER_H

#include "queue/draft.h"

/* Keeps the pointer, and hears of every slot that is dropped. */
void teller_init(struct spool *);
/* A new link to qmgr: all is told again.  Takes fd over. */
void teller_link(int fd);
/* These are durable now, in this order; bodies still in memory. */
void teller_new(const struct draft *first);
/* A mark is durable. */
void teller_marked(uint64_t id, uint32_t idx, unsigned link);
/* A replacement is durable (verdict K; content as in its record), or it is not.
 */
void teller_replaced(
    uint64_t id, uint32_t idx, char verdict, struct str content, unsigned link);
/* Sends a packet, with a descriptor unless fd is NULL.  False: not now, or the
 * link is gone: then replies.h has forgotten what waited. */
bool teller_tell(const struct buf *, const int *fd);
/* Some of its recipients are told, and others will be. */
bool teller_is_half_told(uint64_t id);
/* Sends what can be sent.  Milliseconds until it should be called again, when
 * nothing else happens; -1: no need. */
int teller_run(void);

#endif
