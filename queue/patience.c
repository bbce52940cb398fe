/* SPDX-License-Identifier: ISC
 * patience: contract in patience.h.
 */
#include "queue/patience.h"

#include <stdlib.h>
#include "common/limits.h"
#include "common/log.h"
#include "queue/names.h"
#include "queue/places.h"

enum {
	BRIEF_MS = 500,	    /* in a brief place a host is silent after this, */
	SILENT_MS = 1000,   /* in another after this, */
	SUSPECT_MS = 30000, /* one that failed lately, and so has few places */
	AT_ONCE = 256	    /* given up in one go */
};

static struct silent silent[LIMIT_REMOTES];

/* A job was sent, and no server has answered yet.  One whose body is still
 * being fetched waits for us. */
static bool
is_unanswered(const struct agent *a)
{
	return a->destination->kind == SCHEDULE_REMOTE && !a->served &&
	       !a->retiring && a->lots != NULL && a->lots->sent;
}

static size_t
collect(void)
{
	size_t n = 0;
	for (struct agent *a = agents_first(); a != NULL && n < LIMIT_REMOTES;
	     a = a->after)
		if (is_unanswered(a))
			silent[n++] = (struct silent){ .since = a->quiet_since,
				.agent = a,
				.suspect = a->destination->failures > 0,
				.brief = places_brief(a->place) };
	return n + hubs_silent(silent + n, LIMIT_REMOTES - n);
}

static void
give_up(const struct silent *s, bool glimpse)
{
	if (s->agent != NULL)
		agent_give_up(s->agent, glimpse);
	else
		hubs_give_up(s->key, glimpse);
}

/* Brief places go to those who had none yet.  What is left of n. */
static size_t
end_brief(size_t n, int64_t now_ms)
{
	size_t fresh = places_starving_fresh(SCHEDULE_REMOTE);
	size_t kept = 0, ended = 0;
	for (size_t i = 0; i < n; i++) {
		const struct silent *s = &silent[i];
		if (!s->brief || s->suspect || ended == fresh ||
		    now_ms - s->since < BRIEF_MS) {
			silent[kept++] = *s;
			continue;
		}
		give_up(s, true);
		ended++;
	}
	return kept;
}

/* What is left of n: those whose time is over. */
static size_t
leave_patient(size_t n, int64_t now_ms)
{
	size_t kept = 0;
	for (size_t i = 0; i < n; i++) {
		int64_t most = silent[i].suspect ? SUSPECT_MS : SILENT_MS;
		if (now_ms - silent[i].since >= most)
			silent[kept++] = silent[i];
	}
	return kept;
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
	unsigned waiting = places_starving_count(SCHEDULE_REMOTE);
	if (waiting == 0)
		return;
	size_t n = leave_patient(end_brief(collect(), now_ms), now_ms);
	size_t kept = places_patience(SCHEDULE_REMOTE);
	if (n <= kept)
		return;
	size_t excess = n - kept;
	if (excess > waiting)
		excess = waiting;
	if (excess > AT_ONCE)
		excess = AT_ONCE;
	qsort(silent, n, sizeof(silent[0]), compare);
	for (size_t i = 0; i < excess; i++)
		give_up(&silent[i], false);
	LOG(INFO, "given-up", F_NUM("connections", excess), F_NUM("silent", n),
	    F_NUM("waiting", waiting));
}
