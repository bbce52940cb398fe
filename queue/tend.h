/* SPDX-License-Identifier: ISC
 * tend: queued's side of settle: decides what settle does next, and takes its
 * answers.  Nothing waits in a queue of its own: what there is to do is read
 * off the lists of spool.h.
 */
#ifndef TEND_H
#define TEND_H

#include "queue/draft.h"
#include "queue/settle.h"

/* fds: from settle_start.  Dies when a settle goes away. */
void tend_init(struct spool *, const int fds[SETTLE_PROCESSES]);
/* Has a large message synced and named; commit_published gets the outcome. */
void tend_publish(struct draft *);
/* An administrator wants all that has an id up to *bound (0: all that is there
 * now; it is set then) in files.  How many messages are not yet; the work goes
 * on while it is asked for. */
uint64_t tend_settle(uint64_t *bound);
/* Frees segments, and gives settle what it can take.  Milliseconds until it
 * wants to be called again, or -1. */
int tend_run(void);

#endif
