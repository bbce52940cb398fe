/* SPDX-License-Identifier: ISC
 * fill: how long a batch waits for more messages before it is synced.  One
 * sync costs as much for ten messages as for one; but nobody is to wait for
 * those who do not come.  Pure, but for its memory of the last milliseconds.
 */
#ifndef FILL_H
#define FILL_H

#include <stdbool.h>
#include <stdint.h>

enum {
	FILL_TICK_MS = 8, /* senders are counted for so long */
	FILL_MAX_US = 250
};

struct fill {
	int64_t tick;		  /* now / FILL_TICK_MS */
	unsigned senders, before; /* in this tick, and in the one before */
	unsigned messages, messages_before;
};

/* A message is complete; seen: the tick of its sender's last one (0: none),
 * which is set anew. */
void fill_message(struct fill *, int64_t now_ms, int64_t *seen);
/* Microseconds that are worth waiting when so many messages wait already: until
 * about an eighth of the active senders have brought theirs.  0: do not wait;
 * so for a sender who is alone. */
int64_t fill_wait(struct fill *, int64_t now_ms, unsigned waiting);

#endif
