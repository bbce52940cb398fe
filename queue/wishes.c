/* SPDX-License-Identifier: ISC
 * wishes: contract in wishes.h.
 */
#include "queue/wishes.h"

#include <stdlib.h>
#include "queue/pool.h"

static struct pool pool = POOL_OF(struct wish);

struct wish *
wish_at(uint32_t number)
{
	return pool_at(&pool, number);
}

uint32_t
wish_add(struct wishes *list, struct wish wish)
{
	static uint64_t serial;
	uint32_t number = pool_new(&pool);
	wish.serial = ++serial;
	wish.before = list->last;
	wish.after = 0;
	*wish_at(number) = wish;
	if (list->last != 0)
		wish_at(list->last)->after = number;
	else
		list->first = number;
	list->last = number;
	if (list->unsent == 0)
		list->unsent = number;
	list->unsent_count++;
	return number;
}

void
wish_remove(struct wishes *list, uint32_t number)
{
	struct wish *w = wish_at(number);
	if (list->unsent == number) { /* answered before it was sent again */
		list->unsent = w->after;
		list->unsent_count--;
	}
	if (w->before != 0)
		wish_at(w->before)->after = w->after;
	else
		list->first = w->after;
	if (w->after != 0)
		wish_at(w->after)->before = w->before;
	else
		list->last = w->before;
	free(w->bytes);
	pool_free(&pool, number);
}

void
wish_sent(struct wishes *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		list->unsent = wish_at(list->unsent)->after;
	list->unsent_count -= count;
}

void
wishes_again(struct wishes *list)
{
	list->unsent = list->first;
	list->unsent_count = 0;
	for (uint32_t i = list->first; i != 0; i = wish_at(i)->after)
		list->unsent_count++;
}
