/* SPDX-License-Identifier: ISC
 * outcome: what the end of a filter program means: qmail-queue's exit codes and
 * the report line (postern-filter(8)).  Pure.
 */
#ifndef FILTER_OUTCOME_H
#define FILTER_OUTCOME_H

#include "common/buf.h"
#include "common/verdict.h"

enum {
	OUTCOME_TEXT = 480, /* of a reply */
	OUTCOME_LINE = 512  /* of a report, LF included */
};

enum outcome_result {
	OUTCOME_ACCEPTED = 'A',	 /* it is in the queue */
	OUTCOME_DISCARDED = 'X', /* 0, and nothing was reported: its decision */
	OUTCOME_REFUSED = 'R',
	OUTCOME_DEFERRED = 'D', /* by the program's own word */
	OUTCOME_TROUBLE = 'T'	/* deferred: it died, hung, could not be run */
};

/* Of a report only the last line counts; one without its LF at the end does.
 * One that is longer than OUTCOME_LINE or is none of K, Z, D does not. */
struct outcome_report {
	char line[OUTCOME_LINE], last[OUTCOME_LINE];
	size_t n, last_n; /* n over OUTCOME_LINE: the line is too long */
};
void outcome_feed(struct outcome_report *, struct str bytes);
/* The last line; a view. */
struct str outcome_end(struct outcome_report *);

struct outcome {
	enum verdict verdict;
	enum outcome_result result;
	struct buf text; /* K: the queue id or empty; else for the client, with
			  * an enhanced status code in front */
	struct buf why;	 /* for the log; may be empty */
	char text_room[OUTCOME_TEXT], why_room[64];
};

/* The program's own end, a status of wait(2).  stopped: why it was killed by
 * us, or NULL. */
void outcome_decide(
    struct outcome *, int status, const char *stopped, struct str report);

#endif
