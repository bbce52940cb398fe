/* SPDX-License-Identifier: ISC
 * latency: contract in latency.h.
 */
#include "tests/bench/latency.h"

static unsigned
slot_of(unsigned us)
{
	unsigned power = 0;

	while (us >> (power + 1))
		power++;
	unsigned slot = power * 16 + (power < 4 ? 0 : (us >> (power - 4)) & 15);

	return slot < LATENCY_SLOTS ? slot : LATENCY_SLOTS - 1;
}

static double
ms_of(unsigned slot)
{
	double power = (double)(1u << (slot / 16));

	return power * (1 + (slot % 16 + 0.5) / 16) / 1000;
}

void
latency_note(struct latency *l, unsigned us)
{
	atomic_fetch_add(&l->slots[slot_of(us)], 1);
	unsigned worst = atomic_load(&l->worst_us);

	while (us > worst &&
	       !atomic_compare_exchange_weak(&l->worst_us, &worst, us))
		;
}

double
latency_ms(struct latency *l, size_t count, double part)
{
	size_t seen = 0, wanted = (size_t)(part * (double)count);

	for (unsigned i = 0; i < LATENCY_SLOTS; i++) {
		seen += atomic_load(&l->slots[i]);
		if (seen > wanted)
			return ms_of(i);
	}
	return 0;
}
