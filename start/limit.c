/* SPDX-License-Identifier: ISC
 * limit: contract in limit.h.  An open-addressing table of counters, two at
 * most per session, never more than half full; a counter that falls to 0 is
 * taken out and those behind it move up, so that no graves are left.
 */
#include "start/limit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct slot {
	struct ip key; /* a /64: the low half is 0 */
	uint32_t is_net;
	uint32_t count; /* 0: free */
};

struct limit {
	size_t capacity, taken;
	size_t mask;
	uint64_t seed;
	struct slot slots[];
};

struct limit *
limit_new(size_t capacity, uint64_t seed)
{
	size_t slots = 8;

	if (capacity > SIZE_MAX / 128) {
		errno = ENOMEM;
		return NULL;
	}
	while (slots < 4 * capacity)
		slots *= 2;
	struct limit *l = calloc(1, sizeof(*l) + slots * sizeof(struct slot));
	if (l == NULL)
		return NULL;
	l->capacity = capacity;
	l->mask = slots - 1;
	l->seed = seed;
	return l;
}

static uint64_t
mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15u;
	return h ^ (h >> 29);
}

static size_t
home(const struct limit *l, const struct slot *s)
{
	uint64_t half[2];

	memcpy(half, s->key.b, sizeof(half));
	return (size_t)mix(mix(mix(l->seed, half[0]), half[1]), s->is_net) &
	       l->mask;
}

/* The slot of this key, or the free one where it belongs. */
static struct slot *
find(struct limit *l, const struct slot *wanted)
{
	size_t i = home(l, wanted);

	while (l->slots[i].count > 0 &&
	       (l->slots[i].is_net != wanted->is_net ||
		   !ip_eq(&l->slots[i].key, &wanted->key)))
		i = (i + 1) & l->mask;
	return &l->slots[i];
}

static struct slot
net_of(const struct ip *ip)
{
	struct slot s = { .key = *ip, .is_net = 1 };

	memset(s.key.b + 8, 0, 8);
	return s;
}

enum limit_answer
limit_take(struct limit *l, const struct limits *limits, const struct ip *ip)
{
	struct slot address = { .key = *ip };
	struct slot net = net_of(ip);

	if (l->taken >= l->capacity || l->taken >= limits->total)
		return LIMIT_OVER_TOTAL;
	if (find(l, &address)->count >= limits->per_address)
		return LIMIT_OVER_ADDRESS;
	if (!ip_is_v4(ip)) {
		struct slot *s = find(l, &net);
		if (s->count >= limits->per_net64)
			return LIMIT_OVER_NET;
		net.count = s->count + 1;
		*s = net;
	}
	struct slot *s = find(l, &address);
	address.count = s->count + 1;
	*s = address;
	l->taken++;
	return LIMIT_TAKEN;
}

/* Fills the gap at `gap` with what would otherwise not be found any more. */
static void
close_gap(struct limit *l, size_t gap)
{
	for (size_t i = (gap + 1) & l->mask; l->slots[i].count > 0;
	     i = (i + 1) & l->mask) {
		size_t from_home = (i - home(l, &l->slots[i])) & l->mask;
		size_t from_gap = (i - gap) & l->mask;
		if (from_home < from_gap)
			continue;
		l->slots[gap] = l->slots[i];
		gap = i;
	}
	l->slots[gap].count = 0;
}

static void
release_one(struct limit *l, const struct slot *wanted)
{
	struct slot *s = find(l, wanted);

	if (s->count > 1)
		s->count--;
	else if (s->count == 1)
		close_gap(l, (size_t)(s - l->slots));
}

void
limit_release(struct limit *l, const struct ip *ip)
{
	struct slot address = { .key = *ip };
	struct slot net = net_of(ip);

	release_one(l, &address);
	if (!ip_is_v4(ip))
		release_one(l, &net);
	if (l->taken > 0)
		l->taken--;
}

size_t
limit_count(const struct limit *l)
{
	return l->taken;
}
