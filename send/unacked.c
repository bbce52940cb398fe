/* SPDX-License-Identifier: ISC
 * unacked: see unacked.h.
 */
#include "send/unacked.h"

#include <string.h>

struct record {
	uint64_t id;
	uint32_t idx;
	uint16_t n; /* bytes of text behind this */
	uint8_t verdict;
	bool taken;
};

enum { RECORD_MAX = sizeof(struct record) + LIMIT_REPORT };

static struct record
record_at(const struct unacked *r, size_t at)
{
	struct record record;

	memcpy(&record, r->bytes + at, sizeof(record));
	return record;
}

bool
unacked_room(struct unacked *r, size_t count)
{
	if (count > UNACKED_BYTES / RECORD_MAX)
		return false;
	if (UNACKED_BYTES - r->end >= count * RECORD_MAX)
		return true;
	memmove(r->bytes, r->bytes + r->start, r->end - r->start);
	r->end -= r->start;
	r->sent -= r->start;
	r->start = 0;
	return UNACKED_BYTES - r->end >= count * RECORD_MAX;
}

void
unacked_add(struct unacked *r, uint64_t id, uint32_t idx, enum verdict verdict,
    struct str text)
{
	text = str_head(text, LIMIT_REPORT);
	struct record record = { .id = id,
		.idx = idx,
		.n = (uint16_t)text.n,
		.verdict = (uint8_t)verdict };

	if (UNACKED_BYTES - r->end < sizeof(record) + text.n)
		return;
	memcpy(r->bytes + r->end, &record, sizeof(record));
	r->end += sizeof(record);
	if (text.n > 0)
		memcpy(r->bytes + r->end, text.p, text.n);
	r->end += text.n;
	r->waiting++;
}

/* The first record from `at` on that is not taken; r->end when there is none.
 */
static size_t
skip_taken(const struct unacked *r, size_t at)
{
	while (at < r->end) {
		struct record record = record_at(r, at);

		if (!record.taken)
			break;
		at += sizeof(record) + record.n;
	}
	return at;
}

/* Moves the start over what is taken. */
static void
shrink(struct unacked *r)
{
	r->start = skip_taken(r, r->start);
	if (r->sent < r->start)
		r->sent = r->start;
	if (r->start == r->end)
		r->start = r->end = r->sent = 0;
}

static void
take_one(struct unacked *r, uint64_t id, uint32_t idx)
{
	for (size_t at = r->start; at < r->end;) {
		struct record record = record_at(r, at);

		if (record.id == id && record.idx == idx && !record.taken) {
			record.taken = true;
			memcpy(r->bytes + at, &record, sizeof(record));
			r->waiting--;
			shrink(r);
			return;
		}
		at += sizeof(record) + record.n;
	}
}

bool
unacked_take(struct unacked *r, struct packet *p)
{
	uint32_t n = packet_get_u32(p);

	for (uint32_t i = 0; i < n && !p->bad; i++) {
		uint64_t id = packet_get_u64(p);
		uint32_t idx = packet_get_u32(p);

		if (!p->bad)
			take_one(r, id, idx);
	}
	return packet_end(p);
}

/* How many records from `at` on fit one packet.  *upto: behind the
 * last. */
static uint32_t
count_run(const struct unacked *r, size_t at, size_t *upto)
{
	enum { HEAD = 1 + 4, PER_RECORD = 8 + 4 + 1 + 4 };
	size_t bytes = HEAD;
	uint32_t count = 0;

	for (*upto = at; *upto < r->end;) {
		struct record record = record_at(r, *upto);

		if (!record.taken) {
			bytes += PER_RECORD + record.n;
			if (bytes > PACKET_MAX)
				break;
			count++;
		}
		*upto += sizeof(record) + record.n;
	}
	return count;
}

bool
unacked_next(const struct unacked *r, struct buf *packet, size_t *upto)
{
	size_t at = skip_taken(r, r->sent);

	if (at >= r->end)
		return false;
	packet_begin(packet, 'R');
	packet_u32(packet, count_run(r, at, upto));
	for (; at < *upto; at = skip_taken(r, at)) {
		struct record record = record_at(r, at);

		at += sizeof(record);
		packet_u64(packet, record.id);
		packet_u32(packet, record.idx);
		packet_u8(packet, record.verdict);
		packet_str(packet, (struct str){ r->bytes + at, record.n });
		at += record.n;
	}
	return true;
}

void
unacked_told(struct unacked *r, size_t upto)
{
	r->sent = upto;
}

void
unacked_untell(struct unacked *r)
{
	r->sent = r->start;
}
