/* SPDX-License-Identifier: ISC
 * mess: contract in mess.h.  Pure.
 */
#include "queue/mess.h"

#include <string.h>
#include "common/packet.h"

static const struct str head_magic = { .p = "PrM1", .n = 4 };
static const struct str entry_magic = { .p = "PrE1", .n = 4 };

enum {
	VERSION = 1,
	HEAD_TAG_AT = MESS_BODY_AT - RECORD_TAG,
	ENTRY_TAG_AT = MESS_ENTRY_HEAD - RECORD_TAG,
	HEAD_NONCE = 1 /* no entry stands at this offset */
};

void
mess_name(uint64_t id, char out[MESS_NAME])
{
	char text[16];
	struct buf hex = BUF_ON(text);
	buf_put_hex64(&hex, id);
	struct buf b = { .p = out, .cap = MESS_NAME };
	buf_puts(&b, "mess/");
	buf_put(&b, (struct str){ .p = text + 9, .n = 2 });
	buf_putc(&b, '/');
	buf_put(&b, buf_str(&hex));
	buf_putc(&b, '\0');
}

bool
mess_id(struct str name, uint64_t *id)
{
	return str_hex64(name, id) && *id != 0;
}

void
mess_head_seal(const unsigned char key[RECORD_KEY], const struct mess_head *h,
    char out[MESS_BODY_AT])
{
	struct buf b = { .p = out, .cap = MESS_BODY_AT };
	buf_put(&b, head_magic);
	packet_u32(&b, VERSION);
	packet_u64(&b, h->nonce);
	packet_u64(&b, h->id);
	packet_u64(&b, h->body_n);
	buf_put(&b,
	    (struct str){ .p = (const char *)h->body_tag.b, .n = RECORD_TAG });
	const struct str part = buf_str(&b);
	struct record_tag t =
	    record_tag_of(key, h->nonce, HEAD_NONCE, &part, 1);
	buf_put(&b, (struct str){ .p = (const char *)t.b, .n = RECORD_TAG });
}

bool
mess_head_open(
    const unsigned char key[RECORD_KEY], struct str in, struct mess_head *h)
{
	memset(h, 0, sizeof(*h));
	if (in.n < MESS_BODY_AT || !str_starts(in, head_magic))
		return false;
	struct packet p = { .rest = str_skip(in, head_magic.n) };
	uint32_t version = packet_get_u32(&p);
	h->nonce = packet_get_u64(&p);
	h->id = packet_get_u64(&p);
	h->body_n = packet_get_u64(&p);
	memcpy(h->body_tag.b, p.rest.p, RECORD_TAG);
	const struct str part = str_head(in, HEAD_TAG_AT);
	struct record_tag t =
	    record_tag_of(key, h->nonce, HEAD_NONCE, &part, 1);
	return version == VERSION && h->body_n < UINT64_MAX / 2 &&
	       sodium_memcmp(t.b, in.p + HEAD_TAG_AT, RECORD_TAG) == 0;
}

void
mess_sum_begin(
    struct mess_sum *s, const unsigned char key[RECORD_KEY], uint64_t nonce)
{
	unsigned char in[16] = { 0 };
	unsigned char once[32];
	for (int i = 0; i < 8; i++)
		in[i] = (unsigned char)(nonce >> (56 - 8 * i));
	in[15] = MESS_BODY_AT;
	crypto_core_hchacha20(once, in, key, NULL);
	crypto_onetimeauth_init(&s->state, once);
}

void
mess_sum_add(struct mess_sum *s, struct str bytes)
{
	crypto_onetimeauth_update(
	    &s->state, (const unsigned char *)bytes.p, bytes.n);
}

struct record_tag
mess_sum_end(struct mess_sum *s)
{
	struct record_tag t;
	crypto_onetimeauth_final(&s->state, t.b);
	return t;
}

bool
mess_sum_ok(struct mess_sum *s, const struct mess_head *h)
{
	struct record_tag t = mess_sum_end(s);
	return sodium_memcmp(t.b, h->body_tag.b, RECORD_TAG) == 0;
}

uint64_t
mess_entries_at(const struct mess_head *h)
{
	uint64_t n = MESS_BODY_AT + h->body_n;
	return (n + RECORD_ALIGN - 1) & ~(uint64_t)(RECORD_ALIGN - 1);
}

uint64_t
mess_entry_span(uint64_t n)
{
	n += MESS_ENTRY_HEAD;
	return (n + RECORD_ALIGN - 1) & ~(uint64_t)(RECORD_ALIGN - 1);
}

void
mess_entry_seal(const unsigned char key[RECORD_KEY], uint64_t nonce,
    uint64_t offset, enum mess_entry type, struct str content,
    char out[MESS_ENTRY_HEAD])
{
	struct buf b = { .p = out, .cap = MESS_ENTRY_HEAD };
	buf_put(&b, entry_magic);
	packet_u32(&b, (uint32_t)type);
	packet_u32(&b, (uint32_t)content.n);
	packet_u32(&b, 0);
	const struct str parts[] = { buf_str(&b), content };
	struct record_tag t =
	    record_tag_of(key, nonce, offset, parts, N_ELEMENTS(parts));
	buf_put(&b, (struct str){ .p = (const char *)t.b, .n = RECORD_TAG });
}

bool
mess_entry_open(const unsigned char key[RECORD_KEY], uint64_t nonce,
    uint64_t offset, struct str in, enum mess_entry *type, struct str *content)
{
	if (in.n < MESS_ENTRY_HEAD || !str_starts(in, entry_magic))
		return false;
	struct packet p = { .rest = str_skip(in, entry_magic.n) };
	uint32_t t = packet_get_u32(&p);
	size_t n = packet_get_u32(&p);
	if ((t != MESS_ENVELOPE && t != MESS_STATE && t != MESS_REPLACEMENT &&
		t != MESS_HOLD) ||
	    n > in.n - MESS_ENTRY_HEAD)
		return false;
	*type = (enum mess_entry)t;
	*content = (struct str){ .p = in.p + MESS_ENTRY_HEAD, .n = n };
	const struct str parts[] = { str_head(in, ENTRY_TAG_AT), *content };
	struct record_tag tag =
	    record_tag_of(key, nonce, offset, parts, N_ELEMENTS(parts));
	return sodium_memcmp(tag.b, in.p + ENTRY_TAG_AT, RECORD_TAG) == 0;
}
