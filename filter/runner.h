/* SPDX-License-Identifier: ISC
 * runner: the role's side of keeper: messages whose program runs, and those
 * that wait for a place.
 */
#ifndef FILTER_RUNNER_H
#define FILTER_RUNNER_H

#include "common/facts.h"
#include "filter/message.h"

struct runner_job {
	struct runner_job *next;
	struct message *message; /* borrowed until done */
	struct facts facts;	 /* views: they stay */
	int64_t begun_ms, deadline_ms;
	/* Once.  Text and verdict are for the client. */
	void (*done)(struct runner_job *, char verdict, struct str text);
};

/* fd: keeper_start's. */
void runner_init(int fd);
/* Programs at a time, and how long a message may take, its waiting included. */
void runner_limit(unsigned programs, int timeout_ms);
/* Takes a message that message_close has closed; *job stays the caller's, but
 * must live until done(), which may be called before this returns. */
void runner_begin(struct runner_job *);
/* Jobs that are not done. */
unsigned runner_busy(void);
/* control/filter may have changed. */
void runner_reload(void);
/* Ends what has waited too long; ms until it must be called again, or -1. */
int runner_run(void);

#endif
