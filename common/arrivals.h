/* SPDX-License-Identifier: ISC
 * arrivals: the messages that still arrive, in the order in which they began:
 * where memory is short, those who dawdle give way to those who do not.
 */
#ifndef ARRIVALS_H
#define ARRIVALS_H

#include <stdbool.h>
#include <stdint.h>

/* In the message, as its first member. */
struct arrival {
	struct arrival *older, *younger;
	int64_t begun_ms;
	bool arrives; /* is one of them */
};

struct arrivals {
	struct arrival *oldest, *youngest;
};

/* a is 0. */
void arrivals_begin(struct arrivals *, struct arrival *a);
/* Nothing when it has ended before. */
void arrivals_end(struct arrivals *, struct arrival *);
/* The oldest; NULL: it is not there, or began less than five seconds ago, and
 * for so long nobody has to give way. */
struct arrival *arrivals_dawdler(const struct arrivals *);

#endif
