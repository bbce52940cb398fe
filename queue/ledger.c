/* SPDX-License-Identifier: ISC
 * ledger: contract in ledger.h.  A table of slots, a hash table of their ids
 * (linear probing, at most half full) and lists through the slots.
 */
#include "queue/ledger.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 1024, INLINE = 64 };

bool
ledger_init(struct ledger *l)
{
	*l = (struct ledger){ .cap = FIRST_CAP,
		.free = LEDGER_NONE,
		.mask = 2 * FIRST_CAP - 1,
		.oldest = LEDGER_NONE,
		.newest = LEDGER_NONE };
	l->entry = calloc(l->cap, sizeof(*l->entry));
	l->bucket = malloc((l->mask + 1) * sizeof(*l->bucket));
	if (l->entry == NULL || l->bucket == NULL) {
		ledger_free(l);
		return false;
	}
	memset(l->bucket, 0xff, (l->mask + 1) * sizeof(*l->bucket));
	return true;
}

static void
release(struct ledger_entry *e)
{
	ledger_drop_extras(e, UINT32_MAX);
	if (e->count > INLINE)
		free(e->done.map);
	memset(e, 0, sizeof(*e));
}

void
ledger_free(struct ledger *l)
{
	for (uint32_t i = l->oldest; l->entry != NULL && i != LEDGER_NONE;) {
		uint32_t newer = l->entry[i].newer;
		release(&l->entry[i]);
		i = newer;
	}
	free(l->entry);
	free(l->bucket);
	*l = (struct ledger){ .oldest = LEDGER_NONE, .newest = LEDGER_NONE };
}

/* ---- the hash table ---- */

static uint32_t
home(const struct ledger *l, uint64_t id)
{
	return (uint32_t)((id * 0x9e3779b97f4a7c15u) >> 32) & l->mask;
}

/* The bucket of the id, or the empty one where it belongs. */
static uint32_t
probe(const struct ledger *l, uint64_t id)
{
	uint32_t b = home(l, id);
	while (l->bucket[b] != LEDGER_NONE && l->entry[l->bucket[b]].id != id)
		b = (b + 1) & l->mask;
	return b;
}

static void
unhash(struct ledger *l, uint64_t id)
{
	uint32_t hole = probe(l, id);
	for (uint32_t b = (hole + 1) & l->mask; l->bucket[b] != LEDGER_NONE;
	     b = (b + 1) & l->mask) {
		uint32_t at = home(l, l->entry[l->bucket[b]].id);
		/* it may move up unless its home lies behind the hole */
		if (((b - at) & l->mask) >= ((b - hole) & l->mask)) {
			l->bucket[hole] = l->bucket[b];
			hole = b;
		}
	}
	l->bucket[hole] = LEDGER_NONE;
}

static bool
enlarge(struct ledger *l)
{
	if (l->cap > UINT32_MAX / 8)
		return false;
	uint32_t cap = l->cap * 2;
	uint32_t mask = 2 * cap - 1;
	struct ledger_entry *e = realloc(l->entry, cap * sizeof(*e));
	if (e == NULL)
		return false;
	memset(e + l->cap, 0, (cap - l->cap) * sizeof(*e));
	l->entry = e;
	l->cap = cap;
	uint32_t *bucket = malloc(((size_t)mask + 1) * sizeof(*bucket));
	if (bucket == NULL)
		return false;
	memset(bucket, 0xff, ((size_t)mask + 1) * sizeof(*bucket));
	free(l->bucket);
	l->bucket = bucket;
	l->mask = mask;
	for (uint32_t i = l->oldest; i != LEDGER_NONE; i = e[i].newer)
		l->bucket[probe(l, e[i].id)] = i;
	return true;
}

/* ---- messages ---- */

static uint32_t
take_slot(struct ledger *l)
{
	uint32_t slot = l->free;
	if (slot != LEDGER_NONE) {
		l->free = l->entry[slot].newer;
		return slot;
	}
	/* also when an earlier enlarge got the slots, but not the buckets */
	if ((l->used == l->cap || l->used > l->mask / 2) && !enlarge(l))
		return LEDGER_NONE;
	return l->used++;
}

static void
give_slot(struct ledger *l, uint32_t slot)
{
	l->entry[slot].newer = l->free;
	l->free = slot;
}

uint32_t
ledger_add(struct ledger *l, uint64_t id, uint32_t count)
{
	if (ledger_find(l, id) != LEDGER_NONE)
		return LEDGER_NONE;
	uint32_t slot = take_slot(l);
	if (slot == LEDGER_NONE)
		return LEDGER_NONE;
	struct ledger_entry fresh = { .id = id };
	if (!ledger_grow(&fresh, count)) {
		give_slot(l, slot);
		return LEDGER_NONE;
	}
	struct ledger_entry *e = &l->entry[slot];
	*e = fresh;
	e->before = e->after = LEDGER_NONE;
	e->older = l->newest;
	e->newer = LEDGER_NONE;
	if (l->newest == LEDGER_NONE)
		l->oldest = slot;
	else
		l->entry[l->newest].newer = slot;
	l->newest = slot;
	l->bucket[probe(l, id)] = slot;
	l->count++;
	return slot;
}

uint32_t
ledger_find(const struct ledger *l, uint64_t id)
{
	return l->bucket[probe(l, id)];
}

struct ledger_entry *
ledger_at(const struct ledger *l, uint32_t slot)
{
	return &l->entry[slot];
}

void
ledger_drop(struct ledger *l, uint32_t slot)
{
	struct ledger_entry *e = &l->entry[slot];
	unhash(l, e->id);
	if (e->older == LEDGER_NONE)
		l->oldest = e->newer;
	else
		l->entry[e->older].newer = e->newer;
	if (e->newer == LEDGER_NONE)
		l->newest = e->older;
	else
		l->entry[e->newer].older = e->older;
	release(e);
	give_slot(l, slot);
	l->count--;
}

/* ---- recipients ---- */

static size_t
words(uint32_t count)
{
	return ((size_t)count + INLINE - 1) / INLINE;
}

static const uint64_t *
map_of(const struct ledger_entry *e)
{
	return e->count > INLINE ? e->done.map : &e->done.bits;
}

bool
ledger_is_done(const struct ledger_entry *e, uint32_t idx)
{
	return idx >= e->count ||
	       (map_of(e)[idx / INLINE] >> (idx % INLINE) & 1) != 0;
}

bool
ledger_set_done(struct ledger_entry *e, uint32_t idx)
{
	if (ledger_is_done(e, idx))
		return false;
	uint64_t *map = e->count > INLINE ? e->done.map : &e->done.bits;
	map[idx / INLINE] |= (uint64_t)1 << (idx % INLINE);
	e->left--;
	return true;
}

bool
ledger_grow(struct ledger_entry *e, uint32_t count)
{
	if (count <= e->count)
		return true;
	if (count > INLINE &&
	    words(count) > (e->count > INLINE ? words(e->count) : 0)) {
		uint64_t *map = calloc(words(count), sizeof(*map));
		if (map == NULL)
			return false;
		memcpy(map, map_of(e), words(e->count) * sizeof(*map));
		if (e->count > INLINE)
			free(e->done.map);
		e->done.map = map;
	}
	e->left += count - e->count;
	e->count = count;
	return true;
}

size_t
ledger_state_n(const struct ledger_entry *e)
{
	return ((size_t)e->count + 7) / 8;
}

void
ledger_state(const struct ledger_entry *e, char *out)
{
	const uint64_t *map = map_of(e);
	for (size_t i = 0; i < ledger_state_n(e); i++)
		out[i] = (char)(map[i / 8] >> (8 * (i % 8)) & 0xff);
}

bool
ledger_keep_extra(struct ledger_entry *e, struct str content)
{
	struct ledger_extra *x = malloc(sizeof(*x) + content.n);
	if (x == NULL || content.n > UINT32_MAX) {
		free(x);
		return false;
	}
	*x = (struct ledger_extra){ .n = (uint32_t)content.n };
	memcpy(x->content, content.p, content.n);
	struct ledger_extra **at = &e->extra;
	while (*at != NULL)
		at = &(*at)->next;
	*at = x;
	return true;
}

void
ledger_drop_newest_extra(struct ledger_entry *e)
{
	struct ledger_extra **at = &e->extra;
	while (*at != NULL && (*at)->next != NULL)
		at = &(*at)->next;
	free(*at);
	*at = NULL;
}

void
ledger_drop_extras(struct ledger_entry *e, uint32_t count)
{
	for (; e->extra != NULL && count > 0; count--) {
		struct ledger_extra *next = e->extra->next;
		free(e->extra);
		e->extra = next;
	}
}

/* ---- lists ---- */

void
ledger_push(struct ledger *l, struct ledger_list *list, uint32_t slot)
{
	struct ledger_entry *e = &l->entry[slot];
	e->before = list->tail;
	e->after = LEDGER_NONE;
	if (list->tail == LEDGER_NONE)
		list->head = slot;
	else
		l->entry[list->tail].after = slot;
	list->tail = slot;
	list->count++;
}

void
ledger_unlink(struct ledger *l, struct ledger_list *list, uint32_t slot)
{
	struct ledger_entry *e = &l->entry[slot];
	if (e->before == LEDGER_NONE)
		list->head = e->after;
	else
		l->entry[e->before].after = e->after;
	if (e->after == LEDGER_NONE)
		list->tail = e->before;
	else
		l->entry[e->after].before = e->before;
	e->before = e->after = LEDGER_NONE;
	list->count--;
}
