/* SPDX-License-Identifier: ISC
 * destinations: contract in destinations.h.
 */
#include "tests/unit/destinations.h"

#include <stdio.h>
#include "queue/index.h"
#include "queue/names.h"

int
destinations_set_up(void **state)
{
	(void)state;
	names_init();
	index_init();
	destinations_init();
	return 0;
}

struct destination *
destination_fresh(enum schedule_channel kind)
{
	static unsigned count;
	char name[32];
	int n = snprintf(name, sizeof(name), "d%u.example", count++);
	struct str key = { .p = name, .n = (size_t)n };
	return destination_get(kind, key, key);
}

uint32_t
destination_mail(struct destination *d, struct str sender, unsigned n)
{
	static uint64_t next_id = 1;
	uint32_t m = index_add(next_id++, 5, 100, sender, 0);
	for (unsigned i = 0; i < n; i++) {
		uint32_t r = index_add_rcpt(m, i, STR("x@y"));
		rcpt_set(r, RCPT_QUEUED);
		destination_put(d, m, r, names_take(STR("box")));
	}
	return m;
}
