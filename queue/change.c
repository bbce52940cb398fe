/* SPDX-License-Identifier: ISC
 * change: contract in change.h.
 */
#include "queue/change.h"

#include <string.h>
#include "common/clock.h"
#include "queue/found.h"
#include "queue/room.h"
#include "queue/teller.h"

enum {
	REPLACEMENTS_MAX = 64, /* in one batch */
	MARKS_MAX = 8192,      /* in one record */
	MARKS_ALONE = 64,      /* so many are worth a batch of their own */
	MARK_WAIT_MS = 200     /* for a message that they could go with */
};

struct pending_mark {
	struct mark mark;
	unsigned link;
};

/* Stands in front of the content of a replacement that waits. */
struct pending_replacement {
	uint64_t id;
	uint32_t idx, count;
	unsigned link;
	uint32_t n; /* bytes of addresses that follow */
};

/* A replacement in the batch. */
struct replacing {
	struct pending_replacement what;
	char verdict; /* 0: that depends on the sync */
	struct bytes record;
};

static struct spool *spool;
static struct bytes marks = { .vital = true };
static struct bytes replacements = { .vital = true };
static size_t marks_taken, replacements_taken; /* bytes in the batch */
static struct bytes marks_record = { .vital = true };
static struct replacing replacing[REPLACEMENTS_MAX];
static size_t replacing_count;
static int64_t marks_since;

void
change_init(struct spool *s)
{
	spool = s;
}

/* ---- what comes in ---- */

bool
change_mark(const struct mark *m, unsigned link)
{
	const struct pending_mark p = { .mark = *m, .link = link };
	if (marks.n == 0)
		marks_since = clock_mono_ms();
	struct str s = { .p = (const char *)&p, .n = sizeof(p) };
	return bytes_put(&marks, s);
}

bool
change_replace(
    uint64_t id, uint32_t idx, const struct strings *by, unsigned link)
{
	const struct pending_replacement p = { .id = id,
		.idx = idx,
		.count = by->count,
		.link = link,
		.n = (uint32_t)by->bytes.n };
	struct str head = { .p = (const char *)&p, .n = sizeof(p) };
	size_t before = replacements.n;
	if (bytes_put(&replacements, head) &&
	    bytes_put(&replacements, by->bytes))
		return true;
	replacements.n = before;
	return false;
}

size_t
change_backlog(void)
{
	return marks.n + replacements.n;
}

bool
change_is_urgent(void)
{
	return replacements.n > 0;
}

/* ---- gathering ---- */

bool
change_begin_record(struct bytes *b, size_t n)
{
	static const char room[RECORD_HEAD];
	b->n = 0;
	return bytes_reserve(b, RECORD_HEAD + n) &&
	       bytes_put(b, (struct str){ .p = room, .n = sizeof(room) });
}

int
change_may_wait(void)
{
	if (marks.n == 0)
		return -1;
	int64_t left = marks_since + MARK_WAIT_MS - clock_mono_ms();
	bool many = marks.n >= MARKS_ALONE * sizeof(struct pending_mark);
	return many || left < 0 ? 0 : (int)left;
}

static void
gather_marks(void)
{
	struct pending_mark m;
	size_t count = marks.n / sizeof(m);
	if (count > MARKS_MAX)
		count = MARKS_MAX;
	marks_taken = 0;
	size_t n = count * ENVELOPE_MARK;
	if (count == 0 || !room_make(n, 0, true) ||
	    !change_begin_record(&marks_record, n))
		return;
	struct buf b = { .p = marks_record.p + RECORD_HEAD, .cap = n };
	for (size_t i = 0; i < count; i++) {
		memcpy(&m, marks.p + i * sizeof(m), sizeof(m));
		mark_put(&b, &m.mark);
	}
	marks_record.n += b.n;
	marks_taken = count * sizeof(m);
	(void)journal_add(
	    &spool->journal, RECORD_MARKS, 0, &marks_record, NULL);
}

/* What becomes of a replacement, if it needs no record: it was done before and
 * its recipients have been told since, or it is too much.  0: it needs one. */
static char
outcome_without_record(const struct pending_replacement *p)
{
	uint32_t slot = found_slot(spool, p->id);
	if (slot == LEDGER_NONE)
		return 'K';
	const struct ledger_entry *e = ledger_at(&spool->ledger, slot);
	if (ledger_is_done(e, p->idx))
		return 'K';
	return p->count > ENVELOPE_RECIPIENTS - e->count ? 'D' : 0;
}

/* False: not in this batch. */
static bool
add_replacement(
    const struct pending_replacement *p, struct str by, struct replacing *r)
{
	uint32_t slot = found_slot(spool, p->id);
	char text[16];
	struct buf head = BUF_ON(text);
	const struct replacement content = { .idx = p->idx,
		.first = ledger_at(&spool->ledger, slot)->count,
		.by = { .count = p->count } };
	replacement_put_head(&head, &content);
	if (!room_make(head.n + by.n, 0, true) ||
	    !change_begin_record(&r->record, head.n + by.n) ||
	    !bytes_put(&r->record, buf_str(&head)) ||
	    !bytes_put(&r->record, by))
		return false;
	(void)journal_add(
	    &spool->journal, RECORD_REPLACE, p->id, &r->record, NULL);
	return true;
}

/* The numbers of a replacement's recipients follow from those that are there:
 * so not two of one message in a batch. */
static bool
replaces_already(uint64_t id)
{
	for (size_t i = 0; i < replacing_count; i++)
		if (replacing[i].what.id == id)
			return true;
	return false;
}

static void
gather_replacements(void)
{
	struct pending_replacement p;
	replacing_count = replacements_taken = 0;
	while (replacements_taken < replacements.n &&
	       replacing_count < REPLACEMENTS_MAX) {
		const char *at = replacements.p + replacements_taken;
		struct replacing *r = &replacing[replacing_count];
		memcpy(&p, at, sizeof(p));
		struct str by = { .p = at + sizeof(p), .n = p.n };
		if (replaces_already(p.id))
			return;
		r->what = p;
		r->record.vital = true;
		r->verdict = outcome_without_record(&p);
		if (r->verdict == 0 && !add_replacement(&p, by, r))
			return;
		replacing_count++;
		replacements_taken += sizeof(p) + p.n;
	}
}

bool
change_gather(void)
{
	gather_marks();
	gather_replacements();
	return marks_taken > 0 || replacing_count > 0;
}

/* ---- after the sync ---- */

static void
apply_marks(uint32_t number)
{
	struct pending_mark m;
	for (size_t at = 0; at < marks_taken; at += sizeof(m)) {
		memcpy(&m, marks.p + at, sizeof(m));
		spool_take_mark(spool, &m.mark, number);
		teller_marked(m.mark.id, m.mark.idx, m.link);
	}
	bytes_drop(&marks, marks_taken);
	marks_taken = 0;
}

static void
apply_replacements(uint32_t number)
{
	for (size_t i = 0; i < replacing_count; i++) {
		struct replacing *r = &replacing[i];
		const struct pending_replacement *p = &r->what;
		struct str content = { .p = "", .n = 0 };
		if (r->verdict == 0) {
			content = str_skip(bytes_str(&r->record), RECORD_HEAD);
			r->verdict =
			    spool_replace(spool, p->id, content, number) ? 'K'
									 : 'Z';
		}
		teller_replaced(p->id, p->idx, r->verdict, content, p->link);
		bytes_free(&r->record);
	}
	bytes_drop(&replacements, replacements_taken);
	replacing_count = replacements_taken = 0;
}

void
change_apply(uint32_t number)
{
	apply_marks(number);
	apply_replacements(number);
}

void
change_take_back(void)
{
	marks_taken = replacements_taken = replacing_count = 0;
}
