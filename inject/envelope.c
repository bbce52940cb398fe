/* SPDX-License-Identifier: ISC
 * envelope: contract in envelope.h.  Pure.
 */
#include "inject/envelope.h"

#include <string.h>

void
envelope_begin(struct envelope *e)
{
	e->sender_n = e->count = 0;
	e->full = false;
	e->recipients = BUF_ON(e->room);
	memset(e->slots, 0, sizeof(e->slots));
}

void
envelope_set_sender(struct envelope *e, struct str s)
{
	s = str_head(s, sizeof(e->sender)); /* canonical ones are shorter */
	memcpy(e->sender, s.p, s.n);
	e->sender_n = s.n;
}

/* FNV-1a */
static size_t
hash(struct str s)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (unsigned char)s.p[i]) * 16777619u;
	return h;
}

static bool
stands_at(const struct envelope *e, size_t offset, struct str s)
{
	struct str there = str_skip(buf_str(&e->recipients), offset + 1);

	return str_eq(str_head(there, str_find(there, '\0')), s);
}

void
envelope_add(struct envelope *e, struct str s)
{
	size_t i = hash(s) % N_ELEMENTS(e->slots);

	for (; e->slots[i] != 0; i = (i + 1) % N_ELEMENTS(e->slots))
		if (stands_at(e, e->slots[i] - 1, s))
			return;
	if (e->count == LIMIT_RECIPIENTS ||
	    buf_room(&e->recipients) < s.n + 2) {
		e->full = true;
		return;
	}
	e->slots[i] = (uint32_t)buf_str(&e->recipients).n + 1;
	e->count++;
	buf_putc(&e->recipients, 'T');
	buf_put(&e->recipients, s);
	buf_putc(&e->recipients, '\0');
}
