/* SPDX-License-Identifier: ISC
 * seen: contract in seen.h.
 */
#include "send/seen.h"

#include <string.h>

enum { KEY_BYTES = 34 /* Q, 16 digits, R, 16 digits */ };
static const uint64_t bit_count = (uint64_t)SEEN_WORDS * 64;

void
seen_reset(struct seen *s)
{
	memset(s, 0, sizeof(*s));
}

/* Two bit numbers from the part behind the seconds; false: no such part. */
static bool
bits_of(struct str name, size_t *a, size_t *b)
{
	size_t dot = str_find(name, '.');
	struct str key = str_skip(name, dot + 1);
	if (key.n < KEY_BYTES || key.p[0] != 'Q')
		return false;
	uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
	for (size_t i = 0; i < KEY_BYTES; i++)
		h = (h ^ (unsigned char)key.p[i]) * UINT64_C(0x100000001b3);
	*a = (size_t)(h % bit_count);
	*b = (size_t)((h >> 32) % bit_count);
	return true;
}

void
seen_add(struct seen *s, struct str name)
{
	size_t a, b;
	if (!bits_of(name, &a, &b))
		return;
	s->bits[a / 64] |= UINT64_C(1) << a % 64;
	s->bits[b / 64] |= UINT64_C(1) << b % 64;
}

bool
seen_maybe(const struct seen *s, struct str unique)
{
	size_t a, b;
	if (!bits_of(unique, &a, &b))
		return true;
	return (s->bits[a / 64] >> a % 64 & 1) != 0 &&
	       (s->bits[b / 64] >> b % 64 & 1) != 0;
}
