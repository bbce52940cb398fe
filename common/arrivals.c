/* SPDX-License-Identifier: ISC
 * arrivals: contract in arrivals.h.
 */
#include "common/arrivals.h"

#include <stddef.h>
#include "common/clock.h"

enum { PATIENCE_MS = 5000 };

void
arrivals_begin(struct arrivals *all, struct arrival *a)
{
	a->arrives = true;
	a->begun_ms = clock_mono_ms();
	a->older = all->youngest;
	if (all->youngest != NULL)
		all->youngest->younger = a;
	else
		all->oldest = a;
	all->youngest = a;
}

void
arrivals_end(struct arrivals *all, struct arrival *a)
{
	if (!a->arrives)
		return;
	a->arrives = false;
	if (a->older != NULL)
		a->older->younger = a->younger;
	else
		all->oldest = a->younger;
	if (a->younger != NULL)
		a->younger->older = a->older;
	else
		all->youngest = a->older;
}

struct arrival *
arrivals_dawdler(const struct arrivals *all)
{
	struct arrival *a = all->oldest;

	return a != NULL && a->begun_ms <= clock_mono_ms() - PATIENCE_MS ? a
									 : NULL;
}
