/* SPDX-License-Identifier: ISC
 * commit: contract in commit.h.  The commit of a message is journal_commit in
 * gather_and_write.
 */
#include "queue/commit.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "common/log.h"
#include "common/clock.h"
#include "queue/change.h"
#include "queue/drops.h"
#include "queue/fill.h"
#include "queue/found.h"
#include "queue/room.h"
#include "queue/stream.h"
#include "queue/teller.h"
#include "queue/tend.h"

enum { RETRY_MS = 200 /* of what found no room */ };

struct queue {
	struct draft *first, *last;
};

static struct spool *spool;
static struct queue waiting; /* drafts */
static unsigned waiting_small;
static struct fill fill;
static bool has_waited;	      /* this batch, for more */
static struct queue bounces;  /* drafts that may use the reserve */
static struct queue in_batch; /* of these: written, or refused on the way */
static struct queue voided;   /* their write failed: answered after a void */
static struct bytes void_record = { .vital = true };

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
commit_init(struct spool *s)
{
	spool = s;
}

void
commit_draft(struct draft *d, int64_t *seen)
{
	put(d->bounce ? &bounces : &waiting, d);
	if (d->bounce || d->fd >= 0)
		return;
	fill_message(&fill, clock_mono_ms(), seen);
	waiting_small++;
}

/* ---- gathering ---- */

static void
gather_void(void)
{
	if (void_record.n == 0 ||
	    !room_make(void_record.n - RECORD_HEAD, 0, true))
		return;
	(void)journal_add(&spool->journal, RECORD_VOID, 0, &void_record, NULL);
}

/* True when something but marks is going to be written now. */
static bool
writes_anyway(void)
{
	if (void_record.n > 0 || change_is_urgent())
		return true;
	for (const struct draft *d = bounces.first; d != NULL; d = d->next)
		if (d->verdict == 'K')
			return true;
	for (const struct draft *d = waiting.first; d != NULL; d = d->next)
		if (d->verdict == 'K' && d->fd < 0)
			return true;
	return false;
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
	const struct envelope e = { .finished = bytes_str(&d->finished) };
	if (d->finishes == 0)
		return false;
	uint32_t slot = found_slot(spool, d->finishes);
	for (size_t i = 0; i < d->finished.n / sizeof(uint32_t); i++)
		if (slot != LEDGER_NONE &&
		    !ledger_is_done(ledger_at(&spool->ledger, slot),
			envelope_finished(&e, i)))
			return false;
	return true;
}

/* True when d is a file of the drop box that was taken before. */
static bool
is_old_drop(struct draft *d)
{
	return d->dropped && drops_find(spool, d->drop_key, &d->id);
}

/* False: not in this batch. */
static bool
gather_small(struct draft *d)
{
	struct journal *j = &spool->journal;
	struct str meta = draft_meta(d);
	if (!room_make(meta.n, d->size, d->bounce)) {
		if (j->iov_count > 0)
			return false;
		const char *why = room_refusal(d);
		draft_refuse(d, spool, 'Z', why != NULL ? why : ROOM_FAILED);
		return true;
	}
	d->id = spool_next_id(spool);
	d->slot = ledger_add(&spool->ledger, d->id, d->recipient_count);
	if (d->slot == LEDGER_NONE) {
		draft_refuse(d, spool, 'Z', ROOM_NO_MEMORY);
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
		if (room_must_wait(d))
			return;
		const char *why = d->verdict == 'K' ? room_refusal(d) : NULL;
		if (why != NULL)
			draft_refuse(d, spool, 'Z', why);
		if (d->verdict == 'K' && is_old_bounce(d)) {
			d->id = d->finishes;
			d->finishes = 0;
		} else if (d->verdict == 'K' && is_old_drop(d)) {
			; /* answered with the first one's id */
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
	    F_STR("sender", e.sender), F_NUM("size", d->size),
	    F_NUM("nrcpt", envelope_addresses(&e)));
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
		if (d->dropped)
			drops_add(d->drop_key, d->id);
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
	change_take_back();
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
			    change_begin_record(&void_record, sizeof(text)))
				(void)bytes_put(&void_record, buf_str(&b));
		}
		draft_refuse(d, spool, 'Z', ROOM_FAILED);
		put(&voided, d);
	}
}

/* True when something was made durable or refused, and there may be more. */
static bool
gather_and_write(void)
{
	struct journal *j = &spool->journal;
	bool changes = false;
	gather_void();
	if (change_may_wait() == 0 || writes_anyway())
		changes = change_gather();
	gather_drafts(&bounces);
	gather_drafts(&waiting);
	if (j->iov_count == 0 && in_batch.first == NULL && !changes)
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
		change_apply(number);
		apply_drafts(number);
	}
	if (room_is_broken())
		answer_voided();
	return true;
}

/* Sleeps for those who are about to bring more, without being woken by each of
 * them.  True when it has slept: they are to be read first. */
static bool
wait_for_more(void)
{
	int64_t us = 0;
	if (!has_waited && bounces.first == NULL && void_record.n == 0 &&
	    waiting_small > 0 && !room_must_wait(waiting.first))
		us = fill_wait(&fill, clock_mono_ms(), waiting_small);
	has_waited = us > 0;
	const struct timespec time = { .tv_nsec = (long)us * 1000 };
	if (us > 0)
		(void)nanosleep(&time, NULL); /* shorter is fine */
	return us > 0;
}

int
commit_run(void)
{
	if (wait_for_more())
		return 0;
	if (waiting.first != NULL || bounces.first != NULL)
		room_look();
	while (gather_and_write())
		;
	/* What is left found no room, and does not count; what came in between,
	 * behind a large message of its stream, is written by now. */
	waiting_small = 0;
	answer_voided(); /* even when there is no room for the void itself */
	(void)stream_run();
	int left = change_may_wait();
	if (left == 0 || waiting.first != NULL || change_is_urgent())
		return RETRY_MS; /* there was no room for it */
	return left;
}

bool
commit_waits(void)
{
	return bounces.first != NULL ||
	       (waiting.first != NULL && !room_must_wait(waiting.first));
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
	draft_refuse(d, spool, 'Z', error == 0 ? ROOM_NO_MEMORY : ROOM_FAILED);
}

void
commit_published(struct draft *d, int error)
{
	if (error == 0)
		d->slot = ledger_add(&spool->ledger, d->id, d->recipient_count);
	if (d->slot != LEDGER_NONE) {
		ledger_at(&spool->ledger, d->slot)->flags = LEDGER_FILE;
		d->named = true;
		if (d->dropped)
			drops_add(d->drop_key, d->id);
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
