/* SPDX-License-Identifier: ISC
 * reports: what local has to tell qmgr about recipients, kept until qmgr says
 * that it has it.  Bounded; no I/O.
 */
#ifndef SEND_REPORTS_H
#define SEND_REPORTS_H

#include "common/buf.h"
#include "common/limits.h"
#include "common/verdict.h"

enum {
	REPORTS_MAX = 4096,
	REPORTS_TEXTS = 128, /* long texts at a time */
	REPORTS_NO_TASK = -1
};

struct report {
	uint64_t id;
	uint32_t idx;
	enum verdict verdict;
	bool taken;
	int task;	   /* a forward: who knows the addresses; or NO_TASK */
	const char *fixed; /* a text that lives for ever, or NULL: */
	size_t slot;
};

struct reports {
	size_t count;		 /* that are kept */
	size_t start, sent, end; /* of the list: kept, sent up to, last */
	size_t free_count;
	struct report list[REPORTS_MAX]; /* in the order of adding */
	uint8_t free_slots[REPORTS_TEXTS];
	uint16_t lengths[REPORTS_TEXTS];
	char texts[REPORTS_TEXTS][LIMIT_REPORT];
};

/* Empty. */
void reports_init(struct reports *);
/* How many more can be added. */
size_t reports_room(const struct reports *);
/* There must be room.  fixed is borrowed for ever. */
void reports_add(struct reports *, uint64_t id, uint32_t idx, enum verdict,
    const char *fixed);
/* As above with a text that is copied (cut to LIMIT_REPORT; when too many are
 * held, replaced by a fixed one). */
void reports_add_text(
    struct reports *, uint64_t id, uint32_t idx, enum verdict, struct str text);
/* The recipient is forwarded to what `task` knows. */
void reports_add_forward(struct reports *, uint64_t id, uint32_t idx, int task);
bool reports_has(const struct reports *, uint64_t id, uint32_t idx);
/* qmgr has it: forgets it.  The task of a forward, else REPORTS_NO_TASK. */
int reports_acknowledge(struct reports *, uint64_t id, uint32_t idx);
/* All are to be sent (again). */
void reports_resend(struct reports *);

/* Builds the next packet that is to be sent: an `R` with as many reports as fit
 * in b and true; or true and *forward set to the report for which the caller
 * builds a `W`.  False: nothing to send.  Tell reports_sent when it is out. */
bool reports_next(
    struct reports *, struct buf *b, const struct report **forward);
void reports_sent(struct reports *);

#endif
