/* SPDX-License-Identifier: ISC
 * attempt: one message over one connection, for postern-remote by hand: plays
 * qmgr to a child that speaks SMTP in its sandbox (delivery.h).
 */
#ifndef ATTEMPT_H
#define ATTEMPT_H

#include "send/delivery.h"
#include "send/message.h"
#include "common/limits.h"
#include "common/verdict.h"

struct attempt_recipient {
	struct str address; /* canonical */
	bool decided;
	enum verdict verdict;
	size_t text_n;
	char text[LIMIT_REPORT]; /* with an enhanced status code */
};

struct attempt_mail {
	struct message message;
	struct str sender;
	struct attempt_recipient *recipients;
	size_t count;
};

/* Decides one that has no verdict yet. */
void attempt_decide(struct attempt_recipient *, enum verdict, struct str text);

struct attempt_end {
	bool failed; /* the host served nobody, or no more: why is in text */
	enum verdict verdict;
	size_t text_n;
	char text[LIMIT_REPORT];
};

/* Sends to all that are not decided.  setup has the connection (taken over),
 * host, ip, helo and limits; sandbox confines the child.  Those whom the
 * server did not get to hear of stay undecided; then end->failed is set. */
void attempt_run(const struct delivery_setup *, const struct attempt_mail *,
    void (*sandbox)(void), struct attempt_end *end);

#endif
