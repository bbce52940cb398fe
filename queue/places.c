/* SPDX-License-Identifier: ISC
 * places: contract in places.h.
 */
#include "queue/places.h"

static unsigned taken[2], limits[2];
static struct destination *starving_first[2], *starving_last[2];

void
places_limit(enum schedule_channel kind, unsigned limit)
{
	limits[kind] = limit;
}

bool
places_stopped(enum schedule_channel kind)
{
	return limits[kind] == 0;
}

bool
places_starving(enum schedule_channel kind)
{
	return starving_first[kind] != NULL;
}

unsigned
places_taken(enum schedule_channel kind)
{
	return taken[kind];
}

static void
starve(struct destination *d)
{
	if (d->starving)
		return;
	d->starving = true;
	d->starving_next = NULL;
	if (starving_last[d->kind] != NULL)
		starving_last[d->kind]->starving_next = d;
	else
		starving_first[d->kind] = d;
	starving_last[d->kind] = d;
}

bool
places_free(struct destination *d)
{
	if (d->open > 0 && places_starving(d->kind))
		return false; /* one more for d comes last */
	if (taken[d->kind] < limits[d->kind])
		return true;
	if (d->open == 0)
		starve(d);
	return false;
}

void
places_take(struct destination *d)
{
	taken[d->kind]++;
	d->open++;
}

struct destination *
places_give(struct destination *d)
{
	struct destination *next = starving_first[d->kind];
	taken[d->kind]--;
	d->open--;
	if (next == NULL)
		return NULL;
	starving_first[d->kind] = next->starving_next;
	if (starving_first[d->kind] == NULL)
		starving_last[d->kind] = NULL;
	next->starving = false;
	return next;
}
