/* SPDX-License-Identifier: ISC
 * commit: contract in commit.h.  The commit of a message is journal_commit in
 * gather_and_write.
 */
#include "queue/commit.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/log.h"
#include "queue/stream.h"
#include "queue/teller.h"
#include "queue/tend.h"

enum {
	REPLACEMENTS_MAX = 64, /* in one batch */
	MARKS_MAX = 8192,      /* in one record */
	MARK_WAIT_MS = 200,    /* for a message that they could go with */
	ROOM_WAIT_MS = 20000,
	LOOK_EVERY_MS = 1000, /* at the free space */
	COMPLAIN_EVERY_MS = 60000,
	FAILURES_MAX = 2
};

static const char short_of_space[] = "4.3.1 Spool is short of space";
static const char ring_full[] = "4.3.1 Spool is full, try again later";
static const char failed[] = "4.3.0 Spool cannot be written";
static const char no_memory[] = "4.3.2 Out of memory, try again later";

struct queue {
	struct draft *first, *last;
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
static struct commit_limits limits;
static struct queue waiting;  /* drafts */
static struct queue bounces;  /* drafts that may use the reserve */
static struct queue in_batch; /* of these: written, or refused on the way */
static struct queue voided;   /* their write failed: answered after a void */
static struct bytes marks = { .vital = true };
static struct bytes replacements = { .vital = true };
static size_t marks_taken, replacements_taken; /* bytes in the batch */
static struct bytes marks_record = { .vital = true };
static struct bytes void_record = { .vital = true };
static struct replacing replacing[REPLACEMENTS_MAX];
static size_t replacing_count;
static int64_t marks_since;
static bool broken; /* two writes failed in a row */
static bool is_short;
static int64_t next_look, next_complaint;

static void
put(struct queue *q, struct draft *d)
{
	d->next = NULL;
	if (q->first == NULL)
		q->first = d;
	else
		q->last->next = d;
	q->last = d;
}

static struct draft *
take(struct queue *q)
{
	struct draft *d = q->first;
	if (d != NULL)
		q->first = d->next;
	return d;
}

void
commit_init(struct spool *s, const struct commit_limits *l)
{
	spool = s;
	limits = *l;
}

void
commit_set_limits(const struct commit_limits *l)
{
	limits = *l;
	next_look = 0;
}

void
commit_draft(struct draft *d)
{
	put(d->bounce ? &bounces : &waiting, d);
}

/* ---- room ---- */

static void
complain(const char *event, uint64_t have, uint64_t want)
{
	int64_t now = clock_mono_ms();
	if (now < next_complaint)
		return;
	next_complaint = now + COMPLAIN_EVERY_MS;
	LOG(ERROR, event, F_NUM("have", have), F_NUM("want", want));
}

static void
look_at_space(void)
{
	struct statvfs v;
	int64_t now = clock_mono_ms();
	if (now < next_look)
		return;
	next_look = now + LOOK_EVERY_MS;
	if (fstatvfs(spool->dirfd, &v) < 0) {
		LOG(ERROR, "statvfs", F_ERRNO(errno));
		return;
	}
	uint64_t bytes = (uint64_t)v.f_bavail * v.f_frsize;
	bool few_bytes = bytes < limits.floor_bytes;
	/* f_files is 0 where the file system makes inodes as it goes */
	bool few_inodes = v.f_files > 0 && v.f_favail < limits.floor_inodes;
	if (few_bytes)
		complain("few-bytes", bytes, limits.floor_bytes);
	else if (few_inodes)
		complain("few-inodes", v.f_favail, limits.floor_inodes);
	else if (is_short)
		LOG(INFO, "space-again", F_NUM("bytes", bytes));
	is_short = few_bytes || few_inodes;
}

static bool
has_room(const struct draft *d)
{
	const struct journal *j = &spool->journal;
	if (d->bounce || j->free > JOURNAL_RESERVE)
		return true;
	return j->free == JOURNAL_RESERVE &&
	       (d->fd >= 0 || journal_fits(j, draft_meta(d).n, d->size));
}

/* True while it is worth waiting for settle to empty a segment: a slow answer
 * is better than a refusal. */
static bool
must_wait(struct draft *d)
{
	if (d->verdict != 'K' || broken || is_short || has_room(d))
		return false;
	int64_t now = clock_mono_ms();
	if (d->waits_since == 0)
		d->waits_since = now;
	return now - d->waits_since < ROOM_WAIT_MS;
}

/* The reason not to take new mail now, or NULL. */
static const char *
no_room(const struct draft *d)
{
	if (broken)
		return failed;
	if (is_short && !d->bounce)
		return short_of_space;
	if (has_room(d) || spool->journal.iov_count > 0)
		return NULL;
	complain("journal-full", spool->journal.free, JOURNAL_RESERVE + 1);
	return ring_full;
}

/* Makes room in the open segment, or opens another.  False: there is none. */
static bool
make_room(uint64_t meta_n, uint64_t body_n, bool privileged)
{
	struct journal *j = &spool->journal;
	if (journal_fits(j, meta_n, body_n))
		return true;
	if (j->iov_count > 0 || broken)
		return false; /* after this batch */
	unsigned keep = privileged ? 0 : JOURNAL_RESERVE;
	while (j->free > keep && j->failures < FAILURES_MAX) {
		if (journal_advance(j, spool->last_id) == 0)
			return journal_fits(j, meta_n, body_n);
		LOG(ERROR, "segment-failed", F_ERRNO(errno));
	}
	return false;
}

/* ---- gathering ---- */

static bool
begin_record(struct bytes *b, size_t n)
{
	static const char room[RECORD_HEAD];
	b->n = 0;
	return bytes_reserve(b, RECORD_HEAD + n) &&
	       bytes_put(b, (struct str){ .p = room, .n = sizeof(room) });
}

static void
gather_void(void)
{
	if (void_record.n == 0 ||
	    !make_room(void_record.n - RECORD_HEAD, 0, true))
		return;
	(void)journal_add(&spool->journal, RECORD_VOID, 0, &void_record, NULL);
}

/* True when something but marks is going to be written now. */
static bool
writes_anyway(void)
{
	if (void_record.n > 0 || replacements.n > 0)
		return true;
	for (const struct draft *d = bounces.first; d != NULL; d = d->next)
		if (d->verdict == 'K')
			return true;
	for (const struct draft *d = waiting.first; d != NULL; d = d->next)
		if (d->verdict == 'K' && d->fd < 0)
			return true;
	return false;
}

/* How long marks may wait for a message that they could go with, in ms. */
static int
marks_may_wait(void)
{
	int64_t left = marks_since + MARK_WAIT_MS - clock_mono_ms();
	bool many = marks.n >= MARKS_MAX * sizeof(struct pending_mark);
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
	if (count > 0 && marks_may_wait() > 0 && !writes_anyway())
		return;
	size_t n = count * ENVELOPE_MARK;
	if (count == 0 || !make_room(n, 0, true) ||
	    !begin_record(&marks_record, n))
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
	uint32_t slot = ledger_find(&spool->ledger, p->id);
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
	uint32_t slot = ledger_find(&spool->ledger, p->id);
	char text[16];
	struct buf head = BUF_ON(text);
	const struct replacement content = { .idx = p->idx,
		.first = ledger_at(&spool->ledger, slot)->count,
		.by = { .count = p->count } };
	replacement_put_head(&head, &content);
	if (!make_room(head.n + by.n, 0, true) ||
	    !begin_record(&r->record, head.n + by.n) ||
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

static void
gather_large(struct draft *d)
{
	d->id = spool_next_id(spool);
	if (draft_complete(d, spool))
		tend_publish(d);
	else
		put(&in_batch, d); /* refused */
}

/* True when every recipient that d is about is finished: an answer that was
 * lost, asked for again. */
static bool
is_old_bounce(const struct draft *d)
{
	uint32_t slot = ledger_find(&spool->ledger, d->finishes);
	const struct envelope e = { .finished = bytes_str(&d->finished) };
	if (d->finishes == 0)
		return false;
	for (size_t i = 0; i < d->finished.n / sizeof(uint32_t); i++)
		if (slot != LEDGER_NONE &&
		    !ledger_is_done(ledger_at(&spool->ledger, slot),
			envelope_finished(&e, i)))
			return false;
	return true;
}

/* False: not in this batch. */
static bool
gather_small(struct draft *d)
{
	struct journal *j = &spool->journal;
	struct str meta = draft_meta(d);
	if (!make_room(meta.n, d->size, d->bounce)) {
		if (j->iov_count > 0)
			return false;
		complain("journal-full", j->free, JOURNAL_RESERVE + 1);
		draft_refuse(d, spool, 'Z', broken ? failed : ring_full);
		return true;
	}
	d->id = spool_next_id(spool);
	d->slot = ledger_add(&spool->ledger, d->id, d->recipient_count);
	if (d->slot == LEDGER_NONE) {
		draft_refuse(d, spool, 'Z', no_memory);
		return true;
	}
	struct ledger_entry *e = ledger_at(&spool->ledger, d->slot);
	e->meta_n = (uint32_t)meta.n;
	e->body_n = (uint32_t)d->size;
	e->segment = j->open->number;
	e->offset = (uint32_t)journal_add(
	    j, RECORD_MESSAGE, d->id, &d->headed, &d->body);
	return true;
}

static void
gather_drafts(struct queue *q)
{
	while (q->first != NULL) {
		struct draft *d = q->first;
		if (must_wait(d))
			return;
		const char *why = d->verdict == 'K' ? no_room(d) : NULL;
		if (why != NULL)
			draft_refuse(d, spool, 'Z', why);
		if (d->verdict == 'K' && is_old_bounce(d)) {
			d->id = d->finishes;
			d->finishes = 0;
		} else if (d->verdict == 'K' && d->fd >= 0) {
			(void)take(q);
			gather_large(d);
			continue;
		} else if (d->verdict == 'K' && !gather_small(d)) {
			return;
		}
		put(&in_batch, take(q));
	}
}

/* ---- after the sync ---- */

static void
log_queued(const struct draft *d)
{
	struct envelope e;
	if (!envelope_open(draft_meta(d), &e))
		return;
	LOG(INFO, "queued", F_ID(d->id), F_STR("sid", e.sid),
	    F_STR("from", e.sender), F_NUM("size", d->size),
	    F_NUM("nrcpt", d->recipient_count));
}

static void
answer(struct draft *d)
{
	char text[16];
	struct buf id = BUF_ON(text);
	if (d->stream == NULL)
		return;
	buf_put_hex64(&id, d->id);
	stream_answer(d->stream, d->verdict,
	    d->verdict == 'K' ? buf_str(&id) : str_of(d->why));
}

static void
finish(struct draft *d)
{
	if (d->stream != NULL)
		stream_draft_done(d->stream);
	draft_free(d, spool);
}

static void
apply_marks(uint32_t number)
{
	struct pending_mark m;
	for (size_t at = 0; at < marks_taken; at += sizeof(m)) {
		memcpy(&m, marks.p + at, sizeof(m));
		(void)spool_mark(spool, m.mark.id, m.mark.idx, number);
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

static void
apply_finished(const struct draft *d, uint32_t number)
{
	const struct envelope e = { .finished = bytes_str(&d->finished) };
	for (size_t i = 0;
	     d->finishes != 0 && i < d->finished.n / sizeof(uint32_t); i++)
		(void)spool_mark(
		    spool, d->finishes, envelope_finished(&e, i), number);
}

static void
apply_drafts(uint32_t number)
{
	for (struct draft *d = in_batch.first; d != NULL; d = d->next) {
		answer(d);
		if (d->slot == LEDGER_NONE)
			continue; /* refused, or said before */
		struct segment *seg = journal_at(&spool->journal, number);
		ledger_push(&spool->ledger, &seg->live, d->slot);
		apply_finished(d, number);
	}
	(void)stream_run(); /* the answers first */
	for (struct draft *d = in_batch.first; d != NULL; d = d->next)
		if (d->slot != LEDGER_NONE)
			log_queued(d);
	teller_new(in_batch.first);
	for (struct draft *d = take(&in_batch); d != NULL; d = take(&in_batch))
		finish(d);
}

static void
answer_voided(void)
{
	for (struct draft *d = take(&voided); d != NULL; d = take(&voided)) {
		answer(d);
		finish(d);
	}
}

/* Nothing of the batch counts.  Marks and replacements stay where they wait;
 * messages are voided, in case some of their records came to the disk. */
static void
take_back(void)
{
	struct mark m = { .verdict = 'V' };
	char text[ENVELOPE_MARK];
	marks_taken = replacements_taken = replacing_count = 0;
	for (struct draft *d = take(&in_batch); d != NULL;
	     d = take(&in_batch)) {
		if (d->slot != LEDGER_NONE) {
			ledger_drop(&spool->ledger, d->slot);
			d->slot = LEDGER_NONE;
			m.id = d->id;
			struct buf b = BUF_ON(text);
			mark_put(&b, &m);
			/* without memory for it: a duplicate at the worst */
			if (void_record.n > 0 ||
			    begin_record(&void_record, sizeof(text)))
				(void)bytes_put(&void_record, buf_str(&b));
		}
		draft_refuse(d, spool, 'Z', failed);
		put(&voided, d);
	}
}

/* True when something was made durable or refused, and there may be more. */
static bool
gather_and_write(void)
{
	struct journal *j = &spool->journal;
	gather_void();
	gather_marks();
	gather_replacements();
	gather_drafts(&bounces);
	gather_drafts(&waiting);
	if (j->iov_count == 0 && in_batch.first == NULL && replacing_count == 0)
		return false;
	uint32_t number = j->open == NULL ? 0 : j->open->number;
	bool wrote_void = j->iov_count > 0 && void_record.n > 0;
	if (journal_commit(j) < 0) {
		LOG(ERROR, "sync-failed", F_NUM("segment", number),
		    F_ERRNO(errno));
		take_back();
	} else {
		if (wrote_void)
			bytes_free(&void_record);
		if (wrote_void)
			answer_voided();
		apply_marks(number);
		apply_replacements(number);
		apply_drafts(number);
	}
	if (j->failures >= FAILURES_MAX && !broken) {
		broken = true;
		LOG(ERROR, "no-more-mail",
		    F_TEXT("reason", "two syncs in a row have failed"));
	}
	if (broken)
		answer_voided();
	return true;
}

int
commit_run(void)
{
	if (waiting.first != NULL || bounces.first != NULL)
		look_at_space();
	while (gather_and_write())
		;
	answer_voided(); /* even when there is no room for the void itself */
	(void)stream_run();
	if (marks.n > 0) {
		/* what is due and still here waits for a free segment */
		int left = marks_may_wait();
		return left > 0 ? left : MARK_WAIT_MS;
	}
	return waiting.first != NULL || replacements.n > 0 ? MARK_WAIT_MS : -1;
}

bool
commit_waits(void)
{
	return bounces.first != NULL ||
	       (waiting.first != NULL && !must_wait(waiting.first));
}

size_t
commit_backlog(void)
{
	return marks.n + replacements.n;
}

/* ---- what comes in ---- */

/* It is refused, so its name must not stay behind. */
static void
unpublish(struct draft *d, int error)
{
	char name[MESS_NAME];
	mess_name(d->id, name);
	LOG(ERROR, "large-message", F_ID(d->id),
	    F_ERRNO(error == 0 ? ENOMEM : error));
	if (unlinkat(spool->dirfd, name, 0) < 0 && errno != ENOENT)
		LOG(ERROR, "cannot-remove", F_TEXT("file", name),
		    F_ERRNO(errno));
	draft_refuse(d, spool, 'Z', error == 0 ? no_memory : failed);
}

void
commit_published(struct draft *d, int error)
{
	if (error == 0)
		d->slot = ledger_add(&spool->ledger, d->id, d->recipient_count);
	if (d->slot != LEDGER_NONE) {
		ledger_at(&spool->ledger, d->slot)->flags = LEDGER_FILE;
		d->named = true;
	} else {
		unpublish(d, error);
	}
	answer(d);
	if (d->slot != LEDGER_NONE) {
		log_queued(d);
		d->next = NULL;
		teller_new(d);
	}
	finish(d);
}

bool
commit_mark(const struct mark *m, unsigned link)
{
	const struct pending_mark p = { .mark = *m, .link = link };
	if (marks.n == 0)
		marks_since = clock_mono_ms();
	struct str s = { .p = (const char *)&p, .n = sizeof(p) };
	return bytes_put(&marks, s);
}

bool
commit_replace(
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
