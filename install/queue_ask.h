/* SPDX-License-Identifier: ISC
 * queue_ask: the questions of `postern queue` to qmgr at run/qmgr
 * (INTERNALS.md, "Ask: qmgr"): pages of what is selected, and orders.
 */
#ifndef QUEUE_ASK_H
#define QUEUE_ASK_H

#include "queue/select.h"

/* One unfinished recipient; the texts are valid until the next question. */
struct queue_row {
	uint64_t id;
	int64_t birth, due; /* seconds since 1970; due 0: not waiting */
	uint64_t size;
	struct str sender, address, text;
	uint32_t idx;
	char state; /* n w h a b m, as in INTERNALS.md */
	unsigned attempts;
};

/* Connects.  An exit code; when it is not 0 the reason was printed. */
int queue_ask_open(void);
void queue_ask_close(void);
/* Prints why there was no answer (errno) and returns the exit code. */
int queue_ask_failed(void);

/* Gives every selected recipient to `each`, those of a message together, until
 * it returns false.  *looked_at (may be NULL) hears how far the walk is, of
 * how much.  0, or -1 with errno. */
int queue_ask_rows(const struct selection *,
    bool (*each)(void *arg, const struct queue_row *),
    void (*looked_at)(uint64_t at, uint64_t end), void *arg);

struct queue_obeyed {
	uint64_t messages, rcpts, flying;
};

/* Gives the order `verb` for at most `most` (0: all) selected messages; adds to
 * *sum.  When it returns 0, what was done is durable; -1 with errno. */
int queue_ask_order(char verb, bool dry, uint64_t most,
    const struct selection *, struct str text,
    void (*looked_at)(uint64_t at, uint64_t end), struct queue_obeyed *sum);

/* Has the message's body: *fd, *offset, *size.  The verdict (K, Z, D) and, if
 * it is not K, why (valid until the next question); 0 with errno: no answer. */
char queue_ask_body(
    uint64_t id, int *fd, uint64_t *offset, uint64_t *size, struct str *why);

/* Has queued make files of what came up to *bound (0: up to now, which is then
 * set); *left: how many are not yet.  0, or -1 with errno. */
int queue_ask_settle(uint64_t *bound, uint64_t *left);

#endif
