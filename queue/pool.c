/* SPDX-License-Identifier: ISC
 * pool: contract in pool.h.
 */
#include "queue/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "common/die.h"

void *
must_alloc(size_t n)
{
	void *p = calloc(1, n);
	if (p == NULL)
		die(EXITCODE_TEMPORARY, "memory", ENOMEM);
	return p;
}

void *
must_grow(void *p, size_t count, size_t size)
{
	void *bigger = reallocarray(p, count, size);
	if (bigger == NULL)
		die(EXITCODE_TEMPORARY, "memory", ENOMEM);
	return bigger;
}

uint32_t
pool_new(struct pool *p)
{
	uint32_t number = p->free;
	if (number != 0) {
		char *item = pool_at(p, number);
		memcpy(&p->free, item, sizeof(p->free));
		memset(item, 0, sizeof(p->free));
		p->live++;
		return number;
	}
	number = p->end;
	if (number == UINT32_MAX)
		die(EXITCODE_TEMPORARY, "four thousand million items", 0);
	if (number >> POOL_SHIFT == p->chunk_count) {
		p->chunks = must_grow(
		    p->chunks, p->chunk_count + 1, sizeof(p->chunks[0]));
		p->chunks[p->chunk_count++] = must_alloc(POOL_CHUNK * p->item);
	}
	p->end++;
	p->live++;
	return number;
}

void
pool_free(struct pool *p, uint32_t number)
{
	char *item = pool_at(p, number);
	memset(item, 0, p->item);
	memcpy(item, &p->free, sizeof(p->free));
	p->free = number;
	p->live--;
}
