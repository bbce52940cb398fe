/* SPDX-License-Identifier: ISC
 * commit: what is to become durable: messages, marks and replacements gather
 * here, go to the journal in one write, and are answered after it.
 */
#ifndef COMMIT_H
#define COMMIT_H

#include "queue/draft.h"

struct commit_limits {
	uint64_t floor_bytes, floor_inodes;
};

void commit_init(struct spool *, const struct commit_limits *);
void commit_set_limits(const struct commit_limits *);
/* Takes a draft over: closed, or refused. */
void commit_draft(struct draft *);
/* settle has done with a large one; error: an errno, or 0. */
void commit_published(struct draft *, int error);
/* A final verdict; `link` comes back to teller_marked.  False: no memory. */
bool commit_mark(const struct mark *, unsigned link);
/* Recipient idx of id becomes these; teller_replaced gets the outcome.  False:
 * no memory. */
bool commit_replace(
    uint64_t id, uint32_t idx, const struct strings *by, unsigned link);
/* True when a draft waits for commit_run. */
bool commit_waits(void);
/* Bytes of marks and replacements that wait. */
size_t commit_backlog(void);
/* Makes durable what waits.  Milliseconds until marks that may still wait must
 * be written, or -1. */
int commit_run(void);

#endif
