/* SPDX-License-Identifier: ISC
 * record: contract in record.h.  Pure.
 */
#include "queue/record.h"

#include <sodium.h>
#include <string.h>
#include "common/packet.h"

static const struct str record_magic = { .p = "PrR1", .n = 4 };
static const struct str segment_magic = { .p = "PrS1", .n = 4 };

enum {
	TAG_AT = RECORD_HEAD - RECORD_TAG,
	/* second half of the nonce of segment headers: no offset is so large */
	HEADER_NONCE = 1
};

static const struct str no_bytes = { .p = "", .n = 0 };

static void
put_nonce(unsigned char out[16], uint64_t a, uint64_t b)
{
	for (int i = 0; i < 8; i++) {
		out[i] = (unsigned char)(a >> (56 - 8 * i));
		out[8 + i] = (unsigned char)(b >> (56 - 8 * i));
	}
}

struct record_tag
record_tag_of(const unsigned char key[RECORD_KEY], uint64_t a, uint64_t b,
    const struct str *parts, size_t count)
{
	unsigned char nonce[16];
	unsigned char once[32];
	put_nonce(nonce, a, b);
	crypto_core_hchacha20(once, nonce, key, NULL);
	crypto_onetimeauth_state state;
	crypto_onetimeauth_init(&state, once);
	for (size_t i = 0; i < count; i++)
		crypto_onetimeauth_update(
		    &state, (const unsigned char *)parts[i].p, parts[i].n);
	struct record_tag tag;
	crypto_onetimeauth_final(&state, tag.b);
	return tag;
}

uint64_t
record_span(uint64_t meta_n, uint64_t body_n)
{
	uint64_t n = RECORD_HEAD + meta_n + body_n;
	return (n + RECORD_ALIGN - 1) & ~(uint64_t)(RECORD_ALIGN - 1);
}

void
record_seal(const unsigned char key[RECORD_KEY], const struct record *r,
    uint64_t offset, struct str meta, struct str body, char head[RECORD_HEAD])
{
	struct buf b = { .p = head, .cap = RECORD_HEAD };
	buf_put(&b, record_magic);
	packet_u32(&b, (uint32_t)r->type);
	packet_u64(&b, r->epoch);
	packet_u64(&b, r->sequence);
	packet_u64(&b, r->id);
	packet_u32(&b, r->meta_n);
	packet_u32(&b, r->body_n);
	packet_u64(&b, 0);
	const struct str parts[] = { buf_str(&b), meta, body };
	struct record_tag tag =
	    record_tag_of(key, r->epoch, offset, parts, N_ELEMENTS(parts));
	buf_put(&b, (struct str){ .p = (const char *)tag.b, .n = RECORD_TAG });
}

static bool
tag_is(struct str have, const struct record_tag *wanted)
{
	return have.n == RECORD_TAG &&
	       sodium_memcmp(have.p, wanted->b, RECORD_TAG) == 0;
}

static bool
known_type(uint32_t type)
{
	return type == RECORD_MESSAGE || type == RECORD_MARKS ||
	       type == RECORD_REPLACE || type == RECORD_VOID;
}

void
record_peek(struct str in, struct record *r, bool *magic)
{
	memset(r, 0, sizeof(*r));
	*magic = in.n >= RECORD_HEAD && str_starts(in, record_magic);
	if (in.n < RECORD_HEAD)
		return;
	struct packet p = { .rest = str_skip(in, record_magic.n) };
	uint32_t type = packet_get_u32(&p);
	if (known_type(type))
		r->type = (enum record_type)type;
	r->epoch = packet_get_u64(&p);
	r->sequence = packet_get_u64(&p);
	r->id = packet_get_u64(&p);
	r->meta_n = packet_get_u32(&p);
	r->body_n = packet_get_u32(&p);
}

bool
record_claims(struct str in, uint64_t epoch, uint64_t last)
{
	struct record r;
	bool magic;
	record_peek(in, &r, &magic);
	return r.epoch == epoch ||
	       (magic && r.type != 0 && r.sequence == last + 1);
}

bool
record_open(const unsigned char key[RECORD_KEY], uint64_t offset, struct str in,
    struct record *r, struct str *meta, struct str *body)
{
	bool magic;
	*meta = *body = no_bytes;
	record_peek(in, r, &magic);
	if (!magic || r->type == 0) {
		memset(r, 0, sizeof(*r));
		return false;
	}
	if (record_span(r->meta_n, r->body_n) > in.n)
		return false;
	struct str m = { .p = in.p + RECORD_HEAD, .n = r->meta_n };
	struct str c = { .p = m.p + m.n, .n = r->body_n };
	const struct str parts[] = { str_head(in, TAG_AT), m, c };
	struct record_tag tag =
	    record_tag_of(key, r->epoch, offset, parts, N_ELEMENTS(parts));
	if (!tag_is(str_head(str_skip(in, TAG_AT), RECORD_TAG), &tag))
		return false;
	*meta = m;
	*body = c;
	return true;
}

/* ---- segment headers ---- */

static struct record_tag
segment_tag(const unsigned char key[RECORD_KEY], struct str head)
{
	return record_tag_of(key, UINT64_MAX, HEADER_NONCE, &head, 1);
}

void
segment_seal(const unsigned char key[RECORD_KEY], const struct segment_head *h,
    char out[RECORD_BLOCK])
{
	memset(out, 0, RECORD_BLOCK);
	struct buf b = { .p = out, .cap = RECORD_HEAD };
	buf_put(&b, segment_magic);
	packet_u32(&b, h->use);
	packet_u64(&b, h->epoch);
	packet_u64(&b, h->first_sequence);
	packet_u64(&b, h->last_id);
	packet_u32(&b, h->number);
	packet_u32(&b, 0);
	packet_u64(&b, 0);
	struct record_tag tag = segment_tag(key, buf_str(&b));
	buf_put(&b, (struct str){ .p = (const char *)tag.b, .n = RECORD_TAG });
}

bool
segment_open(
    const unsigned char key[RECORD_KEY], struct str in, struct segment_head *h)
{
	memset(h, 0, sizeof(*h));
	if (in.n < RECORD_HEAD || !str_starts(in, segment_magic))
		return false;
	struct record_tag tag = segment_tag(key, str_head(in, TAG_AT));
	if (!tag_is(str_head(str_skip(in, TAG_AT), RECORD_TAG), &tag))
		return false;
	struct packet p = { .rest = str_skip(in, segment_magic.n) };
	h->use = packet_get_u32(&p) == SEGMENT_USE_LIVE ? SEGMENT_USE_LIVE
							: SEGMENT_USE_FREE;
	h->epoch = packet_get_u64(&p);
	h->first_sequence = packet_get_u64(&p);
	h->last_id = packet_get_u64(&p);
	h->number = packet_get_u32(&p);
	return true;
}
