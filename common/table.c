/* SPDX-License-Identifier: ISC
 * table: see the header.  Open addressing over indices of an entry list; bytes
 * live in blocks that never move, so that views stay good.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/table.h"

enum { BLOCK = 64 * 1024, FIRST_SLOTS = 64 };

struct entry {
	const char *p; /* key, then value */
	uint32_t key_n, value_n;
	uint32_t hash;
};

struct block {
	struct block *next;
	size_t n, cap;
	char p[];
};

struct table {
	struct entry *entries;
	size_t count, cap;
	uint32_t *slots;   /* index + 1 of an entry, 0: free */
	size_t slot_count; /* a power of two */
	struct block *blocks;
};

struct table *
table_new(void)
{
	return calloc(1, sizeof(struct table));
}

void
table_free(struct table *t)
{
	if (!t)
		return;
	while (t->blocks) {
		struct block *next = t->blocks->next;
		free(t->blocks);
		t->blocks = next;
	}
	free(t->entries);
	free(t->slots);
	free(t);
}

/* FNV-1a (Fowler, Noll, Vo), folded so that the low bits depend on all. */
static uint32_t
hash_of(struct str s)
{
	uint64_t h = 0xcbf29ce484222325U;
	for (size_t i = 0; i < s.n; i++) {
		h ^= (unsigned char)s.p[i];
		h *= 0x100000001b3U;
	}
	h ^= h >> 29;
	return (uint32_t)(h ^ (h >> 32));
}

/* The slot that holds the key, or the free one where it belongs.  There is
 * always a free slot: grow() keeps a quarter of them so. */
static size_t
slot_of(const struct table *t, struct str key, uint32_t hash)
{
	size_t i = hash & (t->slot_count - 1);
	for (; t->slots[i]; i = (i + 1) & (t->slot_count - 1)) {
		const struct entry *e = &t->entries[t->slots[i] - 1];
		if (e->hash == hash && e->key_n == key.n &&
		    (key.n == 0 || memcmp(e->p, key.p, key.n) == 0))
			break;
	}
	return i;
}

static int
grow_slots(struct table *t)
{
	size_t n = t->slot_count ? t->slot_count * 2 : FIRST_SLOTS;
	uint32_t *slots = calloc(n, sizeof(*slots));
	if (!slots)
		return -1;
	for (size_t k = 0; k < t->count; k++) {
		size_t i = t->entries[k].hash & (n - 1);
		while (slots[i])
			i = (i + 1) & (n - 1);
		slots[i] = (uint32_t)(k + 1);
	}
	free(t->slots);
	t->slots = slots;
	t->slot_count = n;
	return 0;
}

static int
grow(struct table *t)
{
	if (t->count == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : FIRST_SLOTS / 2;
		if (cap > UINT32_MAX / 4)
			return -1;
		struct entry *e = reallocarray(t->entries, cap, sizeof(*e));
		if (!e)
			return -1;
		t->entries = e;
		t->cap = cap;
	}
	if (t->count >= t->slot_count / 4 * 3)
		return grow_slots(t);
	return 0;
}

/* Room for n bytes that never move. */
static char *
keep(struct table *t, size_t n)
{
	struct block *b = t->blocks;
	if (!b || b->cap - b->n < n) {
		size_t cap = n > BLOCK ? n : BLOCK;
		b = malloc(sizeof(*b) + cap);
		if (!b)
			return NULL;
		*b = (struct block){ .next = t->blocks, .n = 0, .cap = cap };
		t->blocks = b;
	}
	char *p = b->p + b->n;
	b->n += n;
	return p;
}

int
table_put(struct table *t, struct str key, struct str value)
{
	errno = ENOMEM;
	if (key.n > INT32_MAX || value.n > INT32_MAX || grow(t) < 0)
		return -1;
	uint32_t hash = hash_of(key);
	size_t slot = slot_of(t, key, hash);
	if (t->slots[slot]) {
		errno = EEXIST;
		return -1;
	}
	char *p = keep(t, key.n + value.n);
	if (!p) {
		errno = ENOMEM;
		return -1;
	}
	if (key.n)
		memcpy(p, key.p, key.n);
	if (value.n)
		memcpy(p + key.n, value.p, value.n);
	t->entries[t->count++] = (struct entry){ .p = p,
		.key_n = (uint32_t)key.n,
		.value_n = (uint32_t)value.n,
		.hash = hash };
	t->slots[slot] = (uint32_t)t->count;
	return 0;
}

static struct str
entry_value(const struct entry *e)
{
	return (struct str){ .p = e->p + e->key_n, .n = e->value_n };
}

bool
table_get(const struct table *t, struct str key, struct str *value)
{
	if (t->count == 0)
		return false;
	size_t slot = slot_of(t, key, hash_of(key));
	if (!t->slots[slot])
		return false;
	*value = entry_value(&t->entries[t->slots[slot] - 1]);
	return true;
}

size_t
table_count(const struct table *t)
{
	return t->count;
}
