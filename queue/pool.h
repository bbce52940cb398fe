/* SPDX-License-Identifier: ISC
 * pool: items of one size, found by number.  An item never moves; what is freed
 * is used again before the pool grows.  qmgr's memory is made of these.
 */
#ifndef POOL_H
#define POOL_H

#include <stdint.h>
#include <stddef.h>

enum { POOL_SHIFT = 10, POOL_CHUNK = 1 << POOL_SHIFT };

struct pool {
	char **chunks;
	size_t item, chunk_count;
	uint32_t end;  /* one past the highest number ever given out */
	uint32_t free; /* head of the free list; 0: none */
	uint32_t live;
};

/* item: its size, at least 8 bytes. */
#define POOL_OF(type)                                                          \
	{                                                                      \
		.item = sizeof(type), .end = 1                                 \
	}

/* Number of a fresh item, all zero; never 0.  Dies (111) without memory. */
uint32_t pool_new(struct pool *);
/* Zeroes the item, but for its first four bytes, and keeps it for re-use. */
void pool_free(struct pool *, uint32_t number);

/* The item; number must have come from pool_new (or lie below p->end). */
static inline void *
pool_at(const struct pool *p, uint32_t number)
{
	return p->chunks[number >> POOL_SHIFT] +
	       (number & (POOL_CHUNK - 1)) * p->item;
}

/* calloc and reallocarray that die (111) instead of failing: a restart loses
 * nothing, since the index comes from queued. */
void *must_alloc(size_t n);
void *must_grow(void *p, size_t count, size_t size);

#endif
