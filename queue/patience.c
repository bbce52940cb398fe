/* SPDX-License-Identifier: ISC
 * patience: contract in patience.h.
 */
#include "queue/patience.h"

#include <stdlib.h>
#include "common/log.h"
#include "queue/names.h"
#include "queue/places.h"

enum {
	SILENT_MS = 1000,   /* a host is silent after this, */
	SUSPECT_MS = 30000, /* one that failed lately, and so has few places */
	AT_ONCE = 256	    /* given up in one go */
};

static struct silent silent[PLACES_MAX];

static bool
is_silent(const struct agent *a, int64_t now_ms)
{
	const struct destination *d = a->destination;
	int64_t most = d->failures > 0 ? SUSPECT_MS : SILENT_MS;
	/* one whose body is still being fetched waits for us */
	return d->kind == SCHEDULE_REMOTE && !a->served && !a->retiring &&
	       a->lots != NULL && a->lots->sent &&
	       now_ms - a->quiet_since >= most;
}

static int
compare(const void *x, const void *y)
{
	const struct silent *a = x, *b = y;
	return a->since < b->since ? -1 : a->since > b->since;
}

void
patience_tick(int64_t now_ms)
{
	size_t n = 0;
	unsigned waiting = places_starving_count(SCHEDULE_REMOTE);
	if (waiting == 0)
		return;
	for (struct agent *a = agents_first(); a != NULL && n < PLACES_MAX;
	     a = a->after)
		if (is_silent(a, now_ms))
			silent[n++] = (struct silent){ .since = a->quiet_since,
				.agent = a };
	n += hubs_silent(now_ms - SILENT_MS, now_ms - SUSPECT_MS, silent + n,
	    PLACES_MAX - n);
	size_t kept = places_patience(SCHEDULE_REMOTE);
	if (n <= kept)
		return;
	size_t excess = n - kept;
	if (excess > waiting)
		excess = waiting;
	if (excess > AT_ONCE)
		excess = AT_ONCE;
	qsort(silent, n, sizeof(silent[0]), compare);
	for (size_t i = 0; i < excess; i++) {
		if (silent[i].agent != NULL)
			agent_give_up(silent[i].agent);
		else
			hubs_give_up(silent[i].key);
	}
	LOG(INFO, "given-up", F_NUM("connections", excess), F_NUM("silent", n),
	    F_NUM("waiting", waiting));
}
