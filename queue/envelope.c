/* SPDX-License-Identifier: ISC
 * envelope: contract in envelope.h.  Pure.
 */
#include "queue/envelope.h"

enum { VERSION = 1, STRING_HEAD = 4 };

static uint64_t
big_endian(struct str s)
{
	uint64_t v = 0;
	for (size_t i = 0; i < s.n; i++)
		v = v << 8 | (unsigned char)s.p[i];
	return v;
}

bool
strings_next(struct strings *s, struct str *out)
{
	if (s->count == 0 || s->bytes.n < STRING_HEAD)
		return false;
	size_t n = (size_t)big_endian(str_head(s->bytes, STRING_HEAD));
	s->bytes = str_skip(s->bytes, STRING_HEAD);
	*out = str_head(s->bytes, n);
	s->bytes = str_skip(s->bytes, n);
	s->count--;
	return true;
}

/* Reads a count and that many strings, which must end the packet. */
static bool
get_strings(struct packet *p, uint32_t max, struct strings *out)
{
	out->count = packet_get_u32(p);
	out->bytes = p->rest;
	if (out->count > max)
		return false;
	for (uint32_t i = 0; i < out->count; i++)
		if (!envelope_recipient_ok(packet_get_str(p, LIMIT_ADDRESS)))
			return false;
	return packet_end(p);
}

void
envelope_put_head(struct buf *b, const struct envelope *e)
{
	packet_u8(b, VERSION);
	packet_u8(b, e->flags);
	packet_u64(b, e->birth);
	packet_str(b, e->sender);
	packet_str(b, e->sid);
	packet_u64(b, e->finishes);
	packet_str(b, e->finished);
	packet_u32(b, e->recipients.count);
}

bool
envelope_open(struct str in, struct envelope *e)
{
	struct packet p = { .rest = in };
	if (packet_get_u8(&p) != VERSION)
		return false;
	e->flags = packet_get_u8(&p);
	e->birth = packet_get_u64(&p);
	e->sender = packet_get_str(&p, LIMIT_ADDRESS);
	e->sid = packet_get_str(&p, LIMIT_SID);
	e->finishes = packet_get_u64(&p);
	e->finished = packet_get_str(&p, sizeof(uint32_t) * ENVELOPE_FINISHED);
	return !p.bad && e->finished.n % sizeof(uint32_t) == 0 &&
	       get_strings(&p, LIMIT_RECIPIENTS + 1, &e->recipients) &&
	       e->recipients.count > 0;
}

uint32_t
envelope_addresses(const struct envelope *e)
{
	bool dropped = (e->flags & ENVELOPE_DROPPED) != 0;
	return e->recipients.count - (dropped ? 1 : 0);
}

void
envelope_put_drop(struct buf *b, uint64_t key)
{
	buf_put_hex64(b, key);
	buf_puts(b, "@drop.invalid");
}

bool
envelope_drop(const struct envelope *e, uint64_t *key)
{
	struct strings row = e->recipients;
	struct str first;
	struct str hex;
	struct str rest;
	return (e->flags & ENVELOPE_DROPPED) != 0 &&
	       strings_next(&row, &first) && str_cut(first, '@', &hex, &rest) &&
	       str_hex64(hex, key);
}

uint32_t
envelope_finished(const struct envelope *e, size_t i)
{
	size_t at = i * sizeof(uint32_t);
	return (uint32_t)big_endian(
	    str_head(str_skip(e->finished, at), sizeof(uint32_t)));
}

bool
mark_is_hold(const struct mark *m)
{
	return m->idx == MARK_MESSAGE &&
	       (m->verdict == 'H' || m->verdict == 'R');
}

void
mark_put(struct buf *b, const struct mark *m)
{
	packet_u64(b, m->id);
	packet_u32(b, m->idx);
	packet_u8(b, (uint8_t)m->verdict);
}

bool
mark_next(struct str *rest, struct mark *m)
{
	if (rest->n < ENVELOPE_MARK)
		return false;
	m->id = big_endian(str_head(*rest, 8));
	m->idx = (uint32_t)big_endian(str_head(str_skip(*rest, 8), 4));
	m->verdict = rest->p[12];
	*rest = str_skip(*rest, ENVELOPE_MARK);
	return true;
}

void
replacement_put_head(struct buf *b, const struct replacement *r)
{
	packet_u32(b, r->idx);
	packet_u32(b, r->first);
	packet_u32(b, r->by.count);
}

bool
replacement_open(struct str in, struct replacement *r)
{
	struct packet p = { .rest = in };
	r->idx = packet_get_u32(&p);
	r->first = packet_get_u32(&p);
	return get_strings(&p, ENVELOPE_RECIPIENTS, &r->by) &&
	       r->by.count > 0 && r->idx < r->first &&
	       r->first <= ENVELOPE_RECIPIENTS - r->by.count;
}

static bool
printable(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x20 || s.p[i] > 0x7e)
			return false;
	return s.n <= LIMIT_ADDRESS;
}

bool
envelope_sender_ok(struct str s)
{
	return printable(s);
}

bool
envelope_recipient_ok(struct str s)
{
	struct str local, domain;
	return printable(s) && str_rcut(s, '@', &local, &domain) &&
	       local.n > 0 && domain.n > 0;
}
