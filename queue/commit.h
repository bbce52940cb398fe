/* SPDX-License-Identifier: ISC
 * commit: what is to become durable: messages gather here and, with the marks
 * and replacements of change.h, go to the journal in one write; they are
 * answered after it.
 */
#ifndef COMMIT_H
#define COMMIT_H

#include "queue/draft.h"

/* Keeps the pointer. */
void commit_init(struct spool *);
/* Takes a draft over: closed, or refused.  seen: its sender's memory for
 * fill.h, 0 at first. */
void commit_draft(struct draft *, int64_t *seen);
/* settle has done with a large one; error: an errno, or 0. */
void commit_published(struct draft *, int error);
/* True when a draft waits for commit_run. */
bool commit_waits(void);
/* Makes durable what waits.  Milliseconds until marks that may still wait must
 * be written, or -1. */
int commit_run(void);

#endif
