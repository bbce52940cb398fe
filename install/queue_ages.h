/* SPDX-License-Identifier: ISC
 * queue_ages: `postern queue stats`: how old what waits is, by destination or
 * sender, and how much of it is in which state, for which reason.
 */
#ifndef QUEUE_AGES_H
#define QUEUE_AGES_H

#include "install/queue_ask.h"

/* Counts a recipient (arg is not used).  False: no memory. */
bool queue_ages_row(void *arg, const struct queue_row *);
/* by_sender: count senders' domains instead of recipients'; now: seconds since
 * 1970.  Before the first row. */
void queue_ages_begin(bool by_sender, int64_t now);
/* Recipients counted so far. */
uint64_t queue_ages_count(void);
/* Prints the `top` lines with the most recipients; reasons are cut to lines of
 * so many columns, 80 at least.  Returns how many recipients were counted. */
uint64_t queue_ages_print(uint64_t top, bool json, size_t columns);

#endif
