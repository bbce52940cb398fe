/* SPDX-License-Identifier: ISC
 * names: contract in names.h.  Strings live in chunks cut into units of 8
 * bytes; a name's number is the number of its first unit.
 */
#include "queue/names.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include "queue/pool.h"

enum {
	UNIT = 8,
	CHUNK_SHIFT = 17, /* 1 MiB */
	CHUNK_UNITS = 1 << CHUNK_SHIFT,
	CLASSES = (NAME_MAX_BYTES + 8) / UNIT + 2,
	FOREVER = UINT16_MAX /* so many users that it is kept for good */
};

struct name {
	uint32_t next; /* in its bucket, or in the free list */
	uint16_t uses;
	uint16_t n;
	char bytes[];
};

static unsigned char key[crypto_shorthash_KEYBYTES];
static char **chunks;
static uint32_t chunk_count, unit_end = 1;
static uint32_t free_lists[CLASSES];
static uint32_t *buckets;
static uint32_t bucket_count, live;

static struct name *
name_at(uint32_t number)
{
	void *p = chunks[number >> CHUNK_SHIFT] +
		  (size_t)(number & (CHUNK_UNITS - 1)) * UNIT;
	return p;
}

void
names_init(void)
{
	if (sodium_init() < 0)
		abort();
	crypto_shorthash_keygen(key);
	bucket_count = 1024;
	buckets = must_alloc(bucket_count * sizeof(buckets[0]));
}

/* Keyed: strangers choose the names. */
static uint64_t
hash_of(struct str s)
{
	unsigned char out[crypto_shorthash_BYTES];
	uint64_t v;
	crypto_shorthash(out, (const unsigned char *)s.p, s.n, key);
	memcpy(&v, out, sizeof(v));
	return v;
}

struct str
names_str(uint32_t number)
{
	if (number == 0)
		return STR("");
	const struct name *name = name_at(number);
	return (struct str){ .p = name->bytes, .n = name->n };
}

uint32_t
names_uses(uint32_t number)
{
	return number == 0 ? 0 : name_at(number)->uses;
}

static void
grow_buckets(void)
{
	uint32_t bigger = bucket_count * 2;
	uint32_t *fresh = must_alloc(bigger * sizeof(fresh[0]));
	for (uint32_t i = 0; i < bucket_count; i++) {
		uint32_t next;
		for (uint32_t n = buckets[i]; n != 0; n = next) {
			struct name *name = name_at(n);
			uint32_t *b =
			    &fresh[hash_of(names_str(n)) & (bigger - 1)];
			next = name->next;
			name->next = *b;
			*b = n;
		}
	}
	free(buckets);
	buckets = fresh;
	bucket_count = bigger;
}

static size_t
units_for(size_t n)
{
	return (sizeof(struct name) + n + UNIT - 1) / UNIT;
}

/* Takes units from the free list of that size, or from the end. */
static uint32_t
take_units(size_t units)
{
	uint32_t number = free_lists[units];
	if (number != 0) {
		free_lists[units] = name_at(number)->next;
		return number;
	}
	if (chunk_count == 0 ||
	    (unit_end & (CHUNK_UNITS - 1)) + units > CHUNK_UNITS ||
	    unit_end >> CHUNK_SHIFT == chunk_count) {
		chunks = must_grow(chunks, chunk_count + 1, sizeof(chunks[0]));
		chunks[chunk_count] = must_alloc((size_t)CHUNK_UNITS * UNIT);
		unit_end = chunk_count == 0 ? 1 : chunk_count << CHUNK_SHIFT;
		chunk_count++;
	}
	number = unit_end;
	unit_end += (uint32_t)units;
	return number;
}

static uint32_t
find_in(uint32_t bucket, struct str s)
{
	for (uint32_t n = buckets[bucket]; n != 0; n = name_at(n)->next)
		if (str_eq(names_str(n), s))
			return n;
	return 0;
}

uint32_t
names_find(struct str s)
{
	return find_in((uint32_t)(hash_of(s) & (bucket_count - 1)), s);
}

uint32_t
names_again(uint32_t number)
{
	if (number != 0) {
		struct name *name = name_at(number);
		if (name->uses != FOREVER)
			name->uses++;
	}
	return number;
}

uint32_t
names_take(struct str s)
{
	if (s.n == 0)
		return 0;
	s = str_head(s, NAME_MAX_BYTES);
	uint64_t hash = hash_of(s);
	uint32_t number = find_in((uint32_t)(hash & (bucket_count - 1)), s);
	if (number != 0)
		return names_again(number);
	if (live >= bucket_count)
		grow_buckets();
	uint32_t *b = &buckets[hash & (bucket_count - 1)];
	number = take_units(units_for(s.n));
	struct name *name = name_at(number);
	name->uses = 1;
	name->n = (uint16_t)s.n;
	memcpy(name->bytes, s.p, s.n);
	name->next = *b;
	*b = number;
	live++;
	return number;
}

void
names_drop(uint32_t number)
{
	if (number == 0)
		return;
	struct name *name = name_at(number);
	if (name->uses == FOREVER || --name->uses > 0)
		return;
	uint32_t *at =
	    &buckets[hash_of(names_str(number)) & (bucket_count - 1)];
	while (*at != number)
		at = &name_at(*at)->next;
	*at = name->next;
	uint32_t *list = &free_lists[units_for(name->n)];
	name->next = *list;
	*list = number;
	live--;
}

uint64_t
names_memory(void)
{
	return (uint64_t)chunk_count * CHUNK_UNITS * UNIT;
}
