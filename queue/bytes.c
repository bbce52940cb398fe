/* SPDX-License-Identifier: ISC
 * bytes: contract in bytes.h.
 */
#include "queue/bytes.h"

#include <stdlib.h>
#include <string.h>

enum { SMALLEST = 256 };

static size_t limit = SIZE_MAX;
static size_t in_use;

void
bytes_limit(size_t total)
{
	limit = total;
}

size_t
bytes_in_use(void)
{
	return in_use;
}

bool
bytes_reserve(struct bytes *b, size_t n)
{
	if (n > SIZE_MAX / 4)
		return false;
	if (n + BYTES_SLACK <= b->cap)
		return true;
	size_t cap = b->cap == 0 ? SMALLEST : b->cap * 2;
	while (cap < n + BYTES_SLACK)
		cap *= 2;
	size_t more = cap - b->cap;
	if (!b->vital && (more > limit || in_use > limit - more))
		return false;
	char *p = realloc(b->p, cap);
	if (p == NULL)
		return false;
	in_use += cap - b->cap;
	b->p = p;
	b->cap = cap;
	return true;
}

bool
bytes_put(struct bytes *b, struct str s)
{
	if (s.n == 0)
		return true;
	if (s.n > SIZE_MAX / 4 || !bytes_reserve(b, b->n + s.n))
		return false;
	memcpy(b->p + b->n, s.p, s.n);
	b->n += s.n;
	return true;
}

void
bytes_drop(struct bytes *b, size_t n)
{
	if (n >= b->n) {
		b->n = 0;
		return;
	}
	memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
}

void
bytes_free(struct bytes *b)
{
	in_use -= b->cap;
	free(b->p);
	*b = (struct bytes){ .p = NULL, .vital = b->vital };
}

struct str
bytes_str(const struct bytes *b)
{
	return (struct str){ .p = b->n == 0 ? "" : b->p, .n = b->n };
}
