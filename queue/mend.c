/* SPDX-License-Identifier: ISC
 * mend: contract in mend.h.  Pure.
 */
#include "queue/mend.h"

#include <string.h>
#include "common/limits.h"
#include "common/packet.h"
#include "queue/envelope.h"

static const struct str nothing = { .p = "", .n = 0 };

/* ---- records that stand anywhere ---- */

/* The right record of this life at `at`.  The epoch is compared first: senders
 * do not know it, so no body makes us compute checksums for nothing. */
static bool
record_at(const unsigned char key[RECORD_KEY], uint64_t epoch, struct str bytes,
    uint64_t base, uint64_t at, struct mend_record *m)
{
	bool magic;
	struct str in = str_skip(bytes, (size_t)at);
	record_peek(in, &m->r, &magic);
	m->at = at;
	return magic && m->r.epoch == epoch &&
	       record_open(key, base + at, in, &m->r, &m->meta, &m->body);
}

/* The newest epoch of which a right record stands at a 4 KiB boundary. */
static bool
newest_epoch(const unsigned char key[RECORD_KEY], struct str bytes,
    uint64_t base, struct mend_record *newest)
{
	bool any = false;
	uint64_t at = (RECORD_BLOCK - base % RECORD_BLOCK) % RECORD_BLOCK;
	for (; at < bytes.n; at += RECORD_BLOCK) {
		struct mend_record m = { .at = at };
		bool magic;
		struct str in = str_skip(bytes, (size_t)at);
		record_peek(in, &m.r, &magic);
		if (!magic || m.r.body_n > LIMIT_SMALL_BODY ||
		    m.r.meta_n > ENVELOPE_MAX ||
		    (any && m.r.sequence <= newest->r.sequence))
			continue; /* lengths: no sender makes this slow */
		if (!record_open(key, base + at, in, &m.r, &m.meta, &m.body))
			continue;
		*newest = m;
		any = true;
	}
	return any;
}

void
mend_scan(const unsigned char key[RECORD_KEY], struct str piece, uint64_t at,
    void (*found)(const struct mend_record *))
{
	struct mend_record m;
	if (!newest_epoch(key, piece, at, &m) &&
	    !record_open(key, at, piece, &m.r, &m.meta, &m.body))
		return;
	uint64_t epoch = m.r.epoch;
	for (uint64_t i = 0; i < piece.n;) {
		if (record_at(key, epoch, piece, at, i, &m)) {
			found(&m);
			i += record_span(m.r.meta_n, m.r.body_n);
		} else {
			i += RECORD_ALIGN;
		}
	}
}

/* ---- a whole segment ---- */

struct mending {
	const unsigned char *key;
	uint64_t epoch;
	char *p;
	size_t n;
	struct mend_result *result;
	void (*found)(const struct mend_record *);
};

static struct str
all_of(const struct mending *m)
{
	return (struct str){ .p = m->p, .n = m->n };
}

static void
tell(const struct mending *m, const struct mend_record *r)
{
	if (m->found != NULL)
		m->found(r);
}

/* Puts an empty marks record in the place of a lost one. */
static uint64_t
put_filler(const struct mending *m, uint64_t at, uint64_t sequence)
{
	const struct record r = {
		.epoch = m->epoch, .sequence = sequence, .type = RECORD_MARKS
	};
	record_seal(m->key, &r, at, nothing, nothing, m->p + at);
	return at + RECORD_HEAD;
}

/* Moves a saved record down to `to`. */
static uint64_t
put_saved(const struct mending *m, uint64_t to, struct mend_record *r)
{
	uint64_t span = record_span(r->r.meta_n, r->r.body_n);
	if (to != r->at) {
		memmove(m->p + to, m->p + r->at, (size_t)span);
		r->at = to;
		r->meta.p = m->p + to + RECORD_HEAD;
		r->body.p = r->meta.p + r->meta.n;
		record_seal(m->key, &r->r, to, r->meta, r->body, m->p + to);
	}
	tell(m, r);
	return to + span;
}

/* The next right record in [at, to) with a sequence in (last, below). */
static bool
next_saved(const struct mending *m, uint64_t at, uint64_t to, uint64_t last,
    uint64_t below, struct mend_record *r)
{
	struct str bytes = str_head(all_of(m), (size_t)to);
	for (; at < to; at += RECORD_ALIGN)
		if (record_at(m->key, m->epoch, bytes, 0, at, r) &&
		    r->r.sequence > last && r->r.sequence < below)
			return true;
	return false;
}

/* Makes a whole chain of what stands in [from, to), behind the record `last`
 * and before the record `next` (0: there is none).  Returns the last sequence.
 * Fillers always fit: each is as small as a record can be. */
static uint64_t
mend_hole(
    struct mending *m, uint64_t from, uint64_t to, uint64_t last, uint64_t next)
{
	struct mend_result *res = m->result;
	struct mend_record r;
	uint64_t w = from, look = from;
	uint64_t below = next == 0 ? UINT64_MAX : next;
	while (next_saved(m, look, to, last, below, &r)) {
		look = r.at + record_span(r.r.meta_n, r.r.body_n);
		for (; last + 1 < r.r.sequence && w + RECORD_HEAD <= r.at;
		     res->lost++)
			w = put_filler(m, w, ++last);
		last = r.r.sequence;
		w = put_saved(m, w, &r);
		res->saved++;
	}
	for (; next != 0 && last + 1 < next && w + RECORD_HEAD <= to;
	     res->lost++)
		w = put_filler(m, w, ++last);
	memset(m->p + w, 0, (size_t)(to - w));
	return last;
}

static void
note_hole(struct mend_result *res, uint64_t from, uint64_t to)
{
	if (res->holes++ == 0)
		res->first = from;
	res->end = to;
}

/* The end of the segment, from `from` on, where no record follows that recovery
 * would find. */
static void
mend_tail(struct mending *m, uint64_t from, uint64_t last, bool bad)
{
	struct mend_record r;
	if (!bad && !next_saved(m, from, m->n, last, UINT64_MAX, &r)) {
		m->result->last = last;
		return;
	}
	uint64_t saved = m->result->saved;
	note_hole(m->result, from, m->n);
	m->result->last = mend_hole(m, from, m->n, last, 0);
	if (m->result->saved == saved)
		m->result->torn = true;
}

void
mend_segment(const unsigned char key[RECORD_KEY], const struct segment_head *h,
    char *p, size_t n, struct mend_result *res,
    void (*found)(const struct mend_record *))
{
	struct mending m = { .key = key,
		.epoch = h->epoch,
		.p = p,
		.n = n,
		.result = res,
		.found = found };
	uint64_t last = h->first_sequence - 1;
	uint64_t end = RECORD_BLOCK; /* of the last record */
	bool bad = false;
	memset(res, 0, sizeof(*res));
	for (uint64_t at = RECORD_BLOCK; at < n;) {
		struct mend_record r;
		if (!record_at(key, h->epoch, all_of(&m), 0, at, &r) ||
		    r.r.sequence <= last) {
			bad = bad ||
			      record_claims(str_skip(all_of(&m), (size_t)at),
				  h->epoch, last);
			at = (at / RECORD_BLOCK + 1) * RECORD_BLOCK;
			continue;
		}
		if (r.r.sequence != last + 1) {
			note_hole(res, end, at);
			(void)mend_hole(&m, end, at, last, r.r.sequence);
		}
		tell(&m, &r);
		res->records++;
		bad = false;
		last = r.r.sequence;
		at += record_span(r.r.meta_n, r.r.body_n);
		end = at;
	}
	mend_tail(&m, end, last, bad);
}

/* ---- headers ---- */

void
mend_head(const unsigned char key[RECORD_KEY], struct str segment,
    struct mend_guess *g)
{
	struct mend_record m;
	memset(g, 0, sizeof(*g));
	struct str rest = str_skip(segment, RECORD_BLOCK);
	if (!newest_epoch(key, rest, RECORD_BLOCK, &m))
		return;
	g->any = true;
	g->head.use = SEGMENT_USE_LIVE;
	g->head.epoch = m.r.epoch;
	g->head.first_sequence = m.r.sequence;
	for (uint64_t at = 0; at < rest.n; at += RECORD_ALIGN) {
		if (!record_at(key, g->head.epoch, rest, RECORD_BLOCK, at, &m))
			continue;
		if (m.r.sequence < g->head.first_sequence)
			g->head.first_sequence = m.r.sequence;
		if (m.r.sequence > g->last)
			g->last = m.r.sequence;
		if (m.r.id > g->head.last_id)
			g->head.last_id = m.r.id;
	}
	struct packet p = { .rest = str_skip(segment, 4) };
	uint32_t use = packet_get_u32(&p);
	g->same_life = packet_get_u64(&p) == g->head.epoch;
	(void)packet_get_u64(&p);
	(void)packet_get_u64(&p);
	g->head.number = packet_get_u32(&p);
	g->use_known = use <= SEGMENT_USE_LIVE;
	if (g->same_life && use == SEGMENT_USE_FREE)
		g->head.use = SEGMENT_USE_FREE;
}
