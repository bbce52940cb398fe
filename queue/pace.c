/* SPDX-License-Identifier: ISC
 * pace: contract in pace.h.
 */
#include "queue/pace.h"

#include "common/loop.h"

static struct destination *waiting;
static int64_t start_us;

void
pace_init(int64_t now_ms)
{
	start_us = now_ms * 1000;
}

/* When the next message may go. */
static int64_t
next_us(const struct destination *d)
{
	int64_t first = start_us + d->rule.interval_us;
	return d->next_us > first ? d->next_us : first;
}

bool
pace_ready(struct destination *d, int64_t now_ms)
{
	if (d->rule.interval_us == 0 || next_us(d) <= now_ms * 1000)
		return true;
	if (!d->pacing) {
		d->pacing = true;
		d->pacing_next = waiting;
		waiting = d;
	}
	return false;
}

void
pace_sent(struct destination *d, int64_t now_ms)
{
	if (d->rule.interval_us == 0)
		return;
	int64_t now = now_ms * 1000;
	/* rates of over a thousand a second: several in a millisecond */
	int64_t from = d->next_us > now - 1000 ? d->next_us : now;
	d->next_us = from + d->rule.interval_us;
}

static int64_t
wait_ms(const struct destination *d, int64_t now_ms)
{
	if (d->rule.interval_us == 0)
		return 0;
	int64_t us = next_us(d) - now_ms * 1000;
	return us > 0 ? (us + 999) / 1000 : 0;
}

void
pace_wake(int64_t now_ms, void (*wake)(struct destination *))
{
	struct destination **at = &waiting;
	while (*at != NULL) {
		struct destination *d = *at;
		if (wait_ms(d, now_ms) > 0) {
			at = &d->pacing_next;
			continue;
		}
		*at = d->pacing_next;
		d->pacing = false;
		wake(d);
	}
}

int64_t
pace_wait(int64_t now_ms)
{
	int64_t soonest = -1;
	for (const struct destination *d = waiting; d != NULL;
	     d = d->pacing_next)
		soonest = loop_sooner(soonest, wait_ms(d, now_ms));
	return soonest;
}
