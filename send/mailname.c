/* SPDX-License-Identifier: ISC
 * mailname: contract in mailname.h.
 */
#include "send/mailname.h"

#include <string.h>

enum { US_PER_SECOND = 1000000 };

/* FNV-1a, 64 bits (Fowler, Noll, Vo).  It need not withstand an attacker: two
 * recipients of one message with the same hash and the same mailbox would cost
 * that mailbox a second copy of the attacker's own message. */
static uint64_t
hash_address(struct str s)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < s.n; i++) {
		h ^= (unsigned char)byte_lower(s.p[i]);
		h *= UINT64_C(0x100000001b3);
	}
	return h;
}

void
mailname_put_unique(struct buf *b, uint64_t id, struct str recipient)
{
	buf_put_u64(b, id / US_PER_SECOND);
	buf_put(b, STR(".Q"));
	buf_put_hex64(b, id);
	buf_putc(b, 'R');
	buf_put_hex64(b, hash_address(recipient));
}

void
mailname_put_host(struct buf *b, struct str host)
{
	size_t used = 0;
	for (size_t i = 0; i < host.n; i++) {
		unsigned char c = (unsigned char)host.p[i];
		bool plain = c > 0x20 && c < 0x7f && c != '/' && c != ':' &&
			     c != ',' && c != '\\';
		used += plain ? 1 : 4;
		if (used > MAILNAME_HOST)
			return;
		if (plain) {
			buf_putc(b, (char)c);
			continue;
		}
		buf_putc(b, '\\');
		buf_putc(b, (char)('0' + (c >> 6)));
		buf_putc(b, (char)('0' + (c >> 3 & 7)));
		buf_putc(b, (char)('0' + (c & 7)));
	}
}

void
mailname_put(struct buf *b, struct str unique, struct str host, uint64_t size,
    uint64_t wire_size)
{
	buf_put(b, unique);
	buf_putc(b, '.');
	buf_put(b, host);
	buf_put(b, STR(",S="));
	buf_put_u64(b, size);
	if (wire_size == 0)
		return;
	buf_put(b, STR(",W="));
	buf_put_u64(b, wire_size);
}

bool
mailname_is(struct str name, struct str unique)
{
	return name.n > unique.n && name.p[unique.n] == '.' &&
	       memcmp(name.p, unique.p, unique.n) == 0;
}

bool
mailname_clean(struct str address)
{
	for (size_t i = 0; i < address.n; i++) {
		unsigned char c = (unsigned char)address.p[i];
		if (c < 0x20 || c == 0x7f)
			return false;
	}
	return true;
}

void
mailname_put_head(struct buf *b, struct str sender, struct str recipient)
{
	buf_put(b, STR("Return-Path: <"));
	buf_put(b, sender);
	buf_put(b, STR(">\nDelivered-To: "));
	buf_put(b, recipient);
	buf_putc(b, '\n');
}

/* In blocks that a byte can count, so that compilers take many at a time. */
size_t
mailname_count_lf(struct str s)
{
	enum { LANES = 16, ROUNDS = 255 };
	size_t count = 0;
	while (s.n >= LANES) {
		uint8_t lf[LANES] = { 0 };
		size_t n = s.n / LANES < ROUNDS ? s.n / LANES : ROUNDS;
		for (size_t i = 0; i < n * LANES; i += LANES)
			for (size_t k = 0; k < LANES; k++)
				lf[k] = (uint8_t)(lf[k] + (s.p[i + k] == '\n'));
		for (size_t k = 0; k < LANES; k++)
			count += lf[k];
		s = str_skip(s, n * LANES);
	}
	for (size_t i = 0; i < s.n; i++)
		count += s.p[i] == '\n';
	return count;
}
