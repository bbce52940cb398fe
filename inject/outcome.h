/* SPDX-License-Identifier: ISC
 * outcome: how it ended, with a reason of one line that says what to do.
 */
#ifndef OUTCOME_H
#define OUTCOME_H

#include "common/buf.h"

enum outcome_kind {
	OUTCOME_DONE,
	OUTCOME_USAGE,	 /* the command line */
	OUTCOME_DATA,	 /* the message */
	OUTCOME_ADDRESS, /* a recipient */
	OUTCOME_REFUSED, /* by the queue, for good */
	OUTCOME_INPUT,	 /* it could not be read */
	OUTCOME_CONFIG,	 /* control files */
	OUTCOME_BUG,	 /* of this program or the queue's */
	OUTCOME_RIGHT,	 /* the caller may not do this */
	OUTCOME_LATER	 /* try again */
};

enum { OUTCOME_TEXT = 700, OUTCOME_ID = 16 };

struct outcome {
	enum outcome_kind kind;
	char id[OUTCOME_ID + 1]; /* of DONE; empty: none yet */
	struct buf text;	 /* not of DONE */
	char room[OUTCOME_TEXT];
};

/* Sets kind and text. */
void outcome_set(struct outcome *, enum outcome_kind, const char *text);
/* The same, followed by ": " and bytes from elsewhere, made printable. */
void outcome_set_about(
    struct outcome *, enum outcome_kind, const char *text, struct str about);
/* Adds ": " and bytes made printable. */
void outcome_add(struct outcome *, struct str);
/* Of a failed call. */
void outcome_set_errno(
    struct outcome *, enum outcome_kind, const char *text, int error);

#endif
