/* SPDX-License-Identifier: ISC
 * buf: contract in buf.h.  Pure.
 */
#include "common/buf.h"

#include <string.h>

size_t
buf_room(const struct buf *b)
{
	return b->full ? 0 : b->cap - b->n;
}

void
buf_put(struct buf *b, struct str s)
{
	if (s.n > buf_room(b)) {
		b->full = true;
		return;
	}
	if (s.n > 0)
		memcpy(b->p + b->n, s.p, s.n);
	b->n += s.n;
}

void
buf_putc(struct buf *b, char c)
{
	buf_put(b, (struct str){ .p = &c, .n = 1 });
}

void
buf_puts(struct buf *b, const char *cstr)
{
	buf_put(b, str_of(cstr));
}

void
buf_put_padded(struct buf *b, uint64_t v, unsigned digits)
{
	char text[20];
	size_t at = sizeof(text);
	do {
		text[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v > 0);
	while (at > 0 && sizeof(text) - at < digits)
		text[--at] = '0';
	buf_put(b, (struct str){ .p = text + at, .n = sizeof(text) - at });
}

void
buf_put_u64(struct buf *b, uint64_t v)
{
	buf_put_padded(b, v, 1);
}

void
buf_put_hex64(struct buf *b, uint64_t v)
{
	char text[16];
	for (size_t i = 16; i-- > 0; v >>= 4)
		text[i] = "0123456789abcdef"[v & 15];
	buf_put(b, (struct str){ .p = text, .n = sizeof(text) });
}

void
buf_put_lower(struct buf *b, struct str s)
{
	size_t from = b->n;
	buf_put(b, s);
	for (size_t i = from; i < b->n; i++)
		b->p[i] = byte_lower(b->p[i]);
}

void
buf_reset(struct buf *b)
{
	b->n = 0;
	b->full = false;
}

void
buf_drop(struct buf *b, size_t n)
{
	if (n >= b->n) {
		b->n = 0;
		return;
	}
	if (n > 0)
		memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
}

void
buf_cut(struct buf *b, size_t n)
{
	if (n < b->n)
		b->n = n;
}

struct str
buf_str(const struct buf *b)
{
	return (struct str){ .p = b->p, .n = b->n };
}

char *
buf_tail(struct buf *b)
{
	return b->p + b->n;
}

void
buf_grew(struct buf *b, size_t n)
{
	size_t room = buf_room(b);
	b->n += n < room ? n : room;
}

const char *
buf_cstr(struct buf *b)
{
	if (buf_room(b) == 0 || memchr(b->p, '\0', b->n) != NULL)
		return NULL;
	b->p[b->n] = '\0';
	return b->p;
}
