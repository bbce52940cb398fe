/* SPDX-License-Identifier: ISC
 * tend: contract in tend.h.
 */
#include "queue/tend.h"

#include <errno.h>
#include <string.h>
#include "common/clock.h"
#include "common/die.h"
#include "common/log.h"
#include "common/loop.h"
#include "queue/commit.h"
#include "queue/errand.h"

enum {
	PAUSE_MS = 1000,	/* after one of them failed */
	UNREAD_MAX = 20,	/* then a record is given up */
	SPARE_SEGMENTS = 2,	/* free ones beyond the reserve, made ahead */
	REMOVE_EVERY_MS = 1000, /* files, unless there are many */
	REMOVE_AT = 256,
	IDLE_MS = 1000, /* without new mail: then old segments are emptied
			 * ahead of need */
	LOOK_AT = 1024	/* entries of the dirty list in one go */
};

static struct spool *spool;
static bool making;   /* a segment */
static bool removing; /* files, until none is left */
static int64_t paused_until, next_removal;
static uint64_t upto; /* ids up to this are to be in files; 0: as needed */
static struct draft *waiting, *last_waiting, *publishing;

/* ---- what there is to do ---- */

static void
publish_waiting(void)
{
	while (waiting != NULL && errand_publish(waiting)) {
		struct draft *d = waiting;
		waiting = d->next;
		d->next = publishing;
		publishing = d;
	}
}

void
tend_publish(struct draft *d)
{
	d->next = NULL;
	if (waiting == NULL)
		waiting = d;
	else
		last_waiting->next = d;
	last_waiting = d;
}

/* Removals are made durable together: a journal of the file system that has to
 * free blocks delays those who wait for theirs.  Milliseconds to the next. */
static int
remove_gone(int64_t now)
{
	if (spool->gone.count == 0)
		return -1;
	if (next_removal == 0)
		next_removal = now + REMOVE_EVERY_MS;
	removing = removing || spool->gone.count >= REMOVE_AT;
	if (!removing && now < next_removal)
		return (int)(next_removal - now);
	removing = true;
	while (spool->gone.head != LEDGER_NONE && errand_may_ask()) {
		uint32_t slot = spool->gone.head;
		struct ledger_entry *e = ledger_at(&spool->ledger, slot);
		if (!errand_simple(SETTLE_REMOVE, e->id, 0))
			break;
		ledger_unlink(&spool->ledger, &spool->gone, slot);
		e->flags |= LEDGER_BUSY;
		e->ops++;
	}
	if (spool->gone.count > 0)
		return REMOVE_EVERY_MS; /* settle's answers come before */
	removing = false;
	next_removal = 0;
	return -1;
}

/* Writes the changes that are in segments up to number into their files. */
static void
flush_dirty(uint32_t number)
{
	uint32_t rest = spool->dirty.count;
	for (int i = 0; i < LOOK_AT && rest > 0 && errand_may_ask();
	     i++, rest--) {
		uint32_t slot = spool->dirty.head;
		struct ledger_entry *e = ledger_at(&spool->ledger, slot);
		bool whole = e->dirty <= number && errand_append(e, e->extra);
		ledger_unlink(&spool->ledger, &spool->dirty, slot);
		if (e->ops == 0) {
			/* behind the others, so that all get their turn */
			e->extras_sent = 0;
			ledger_push(&spool->ledger, &spool->dirty, slot);
			continue;
		}
		e->flags |= whole ? LEDGER_BUSY : LEDGER_BUSY | LEDGER_BROKEN;
		spool_flush_begins(e);
	}
}

/* Has files made of its messages, as far as their ids go up to bound. */
static void
settle_live(struct segment *seg, uint64_t bound)
{
	while (seg->live.head != LEDGER_NONE && errand_may_ask()) {
		uint32_t slot = seg->live.head;
		struct ledger_entry *e = ledger_at(&spool->ledger, slot);
		if (e->id > bound ||
		    !errand_make(e, seg, (uint32_t)(seg - spool->journal.seg)))
			return;
		ledger_unlink(&spool->ledger, &seg->live, slot);
		ledger_push(&spool->ledger, &seg->settled, slot);
		e->flags |= LEDGER_BUSY;
		spool_flush_begins(e);
	}
}

static void
make_segment(void)
{
	struct journal *j = &spool->journal;
	if (making || j->made >= j->max || !errand_may_ask() ||
	    j->free >= JOURNAL_RESERVE + SPARE_SEGMENTS)
		return;
	for (size_t i = 0; i < j->max; i++) {
		if (j->seg[i].state != SEGMENT_ABSENT)
			continue;
		if (!errand_simple(SETTLE_SEGMENT, i, j->size))
			return;
		j->seg[i].state = SEGMENT_MAKING;
		making = true;
		return;
	}
}

/* Milliseconds since the last message came: its id is the time. */
static int64_t
idle_ms(void)
{
	int64_t ms = (clock_now_us() - (int64_t)spool->last_id) / 1000;
	return ms > 0 ? ms : 0;
}

/* True when old segments have to be emptied, so that a share of the ring is
 * free. */
static bool
pressure(const struct journal *j, bool idle)
{
	unsigned left = j->free;
	if (j->made < j->max)
		left += j->max - j->made;
	unsigned wanted = idle ? j->max / 2 : j->max / 4;
	if (wanted < JOURNAL_RESERVE + 1)
		wanted = JOURNAL_RESERVE + 1;
	return left <= wanted;
}

/* True when the oldest segment was freed. */
static bool
retire_oldest(void)
{
	struct journal *j = &spool->journal;
	struct segment *seg = journal_at(j, j->oldest);
	if (!journal_oldest_idle(j))
		return false;
	if (seg->state == SEGMENT_FULL && seg->spoiled)
		seg->state = SEGMENT_FAILED;
	if (seg->state == SEGMENT_FULL && !journal_retire(j))
		LOG(ERROR, "segment-failed", F_NUM("segment", seg->number),
		    F_ERRNO(errno));
	if (seg->state == SEGMENT_FAILED && errand_may_ask() &&
	    clock_mono_ms() >= paused_until &&
	    errand_simple(
		SETTLE_UNSEGMENT, (uint64_t)(seg - j->seg), seg->spoiled))
		seg->state = SEGMENT_REMOVING;
	if (seg->state != SEGMENT_FREE)
		return false;
	while (seg->after.head != LEDGER_NONE) {
		uint32_t slot = seg->after.head;
		ledger_unlink(&spool->ledger, &seg->after, slot);
		ledger_push(&spool->ledger, &spool->gone, slot);
	}
	return true;
}

static bool
is_closed(const struct segment *seg)
{
	return seg->state == SEGMENT_FULL || seg->state == SEGMENT_FAILED;
}

static void
settle_wanted(void)
{
	struct journal *j = &spool->journal;
	for (uint32_t n = j->oldest; n <= j->newest && errand_may_ask(); n++) {
		struct segment *seg = journal_at(j, n);
		if (seg != NULL)
			settle_live(seg, upto);
	}
	flush_dirty(UINT32_MAX);
}

/* Is all that its file is to hold durable there? */
static bool
is_settled(const struct ledger_entry *e)
{
	return (e->flags & LEDGER_FILE) != 0 && e->dirty == 0 &&
	       e->flushing == 0;
}

/* Every message is looked at: only when the lists say that none is left. */
static uint64_t
count_unsettled(uint64_t bound)
{
	const struct ledger *l = &spool->ledger;
	uint64_t n = 0;
	for (uint32_t i = l->oldest; i != LEDGER_NONE; i = l->entry[i].newer)
		n += l->entry[i].id <= bound && l->entry[i].left > 0 &&
		     !is_settled(&l->entry[i]);
	return n;
}

uint64_t
tend_settle(uint64_t *bound)
{
	struct journal *j = &spool->journal;
	uint64_t left = spool->dirty.count;
	if (*bound == 0)
		*bound = spool->last_id;
	upto = *bound > upto ? *bound : upto;
	for (uint32_t n = j->oldest; n <= j->newest; n++) {
		const struct segment *seg = journal_at(j, n);
		if (seg == NULL)
			continue;
		uint32_t head = seg->live.head;
		left += seg->settled.count;
		if (head != LEDGER_NONE &&
		    ledger_at(&spool->ledger, head)->id <= *bound)
			left += seg->live.count;
	}
	if (left > 0)
		return left;
	left = count_unsettled(*bound);
	/* one that failed once stands behind younger ones: take them too */
	upto = left == 0 ? 0 : spool->last_id;
	return left;
}

int
tend_run(void)
{
	struct journal *j = &spool->journal;
	int64_t now = clock_mono_ms();
	bool freed = retire_oldest();
	publish_waiting();
	if (now < paused_until)
		return freed ? 0 : (int)(paused_until - now);
	make_segment();
	int timeout = remove_gone(now);
	struct segment *seg = journal_at(j, j->oldest);
	if (upto != 0)
		settle_wanted();
	if (freed)
		return 0;		    /* perhaps the next one, too */
	int64_t busy = IDLE_MS - idle_ms(); /* so long, at the least */
	if (seg == NULL || !is_closed(seg) || !pressure(j, true))
		return timeout;
	if (!pressure(j, busy <= 0))
		return (int)loop_sooner(timeout, busy > 0 ? busy : -1);
	settle_live(seg, UINT64_MAX);
	if (seg->dirty > 0)
		flush_dirty(seg->number);
	struct segment *next = journal_at(j, seg->number + 1);
	if (next != NULL && is_closed(next))
		settle_live(next, UINT64_MAX);
	return timeout;
}

/* ---- answers ---- */

static void
pause_after(char type, uint64_t id, int error)
{
	char text[] = { type, '\0' };
	if (clock_mono_ms() >= paused_until) /* one line for all */
		LOG(ERROR, "settle-failed", F_TEXT("request", text), F_ID(id),
		    F_ERRNO(error));
	paused_until = clock_mono_ms() + PAUSE_MS;
}

static void
published(uint64_t id, int error)
{
	for (struct draft **at = &publishing; *at != NULL; at = &(*at)->next) {
		struct draft *d = *at;
		if (d->id != id)
			continue;
		*at = d->next;
		commit_published(d, error);
		return;
	}
}

static void
removed(uint32_t slot, int error)
{
	struct ledger_entry *e = ledger_at(&spool->ledger, slot);
	e->flags &= (uint8_t)~LEDGER_BUSY;
	if (error == 0) {
		spool_forget(spool, slot);
		return;
	}
	pause_after(SETTLE_REMOVE, e->id, error);
	ledger_push(&spool->ledger, &spool->gone, slot);
}

/* What a record or file holds cannot be read: it is put aside and given up. */
static void
give_up(uint32_t slot)
{
	spool_put_aside(spool, slot);
	spool_forget(spool, slot);
}

/* A record that settle could not read a few times would keep the ring from
 * going round.  The message leaves the queue; its segment is kept as it is, and
 * fsck puts the message back when the disk can be read again. */
static bool
give_up_unread(uint32_t slot)
{
	struct ledger_entry *e = ledger_at(&spool->ledger, slot);
	struct segment *seg = journal_at(&spool->journal, e->segment);
	if (++e->unread < UNREAD_MAX)
		return false;
	LOG(ERROR, "unreadable", F_ID(e->id), F_NUM("segment", seg->number),
	    F_TEXT("do", "see to the disk; " SPOOL_ADVICE));
	seg->spoiled = true;
	ledger_unlink(&spool->ledger, &seg->settled, slot);
	spool_forget(spool, slot);
	return true;
}

/* All requests about a file that is made or changed are answered. */
static void
written(uint32_t slot, bool broken)
{
	struct ledger_entry *e = ledger_at(&spool->ledger, slot);
	struct segment *seg = journal_at(&spool->journal, e->segment);
	bool made = (e->flags & LEDGER_FILE) == 0;
	e->flags &= (uint8_t) ~(LEDGER_BUSY | LEDGER_BROKEN);
	spool_flush_ends(spool, e, !broken);
	if (made)
		ledger_unlink(&spool->ledger, &seg->settled, slot);
	if (made && !broken)
		e->flags |= LEDGER_FILE;
	if (e->left == 0)
		spool_finish(spool, slot);
	else if ((e->flags & LEDGER_FILE) == 0)
		ledger_push(&spool->ledger, &seg->live, slot);
	else if (e->dirty != 0)
		ledger_push(&spool->ledger, &spool->dirty, slot);
}

static void
take_answer(char type, uint64_t id, int error)
{
	uint32_t slot = ledger_find(&spool->ledger, id);
	if (slot == LEDGER_NONE)
		bug("settle answered for a message that is not there");
	struct ledger_entry *e = ledger_at(&spool->ledger, slot);
	e->ops--;
	if (type == SETTLE_REMOVE) {
		removed(slot, error);
		return;
	}
	if (error != 0) {
		pause_after(type, id, error);
		e->flags |= LEDGER_BROKEN;
	}
	if (e->ops > 0)
		return;
	if (error == SETTLE_UNREADABLE && give_up_unread(slot))
		return;
	struct segment *seg = journal_at(&spool->journal, e->segment);
	bool lost = error == ENOENT && type == SETTLE_APPEND &&
		    (e->flags & LEDGER_FILE) != 0;
	if (error == EBADMSG || lost) {
		if ((e->flags & LEDGER_FILE) == 0)
			ledger_unlink(&spool->ledger, &seg->settled, slot);
		give_up(slot);
		return;
	}
	written(slot, (e->flags & LEDGER_BROKEN) != 0);
}

static void
take_segment(char type, uint64_t i, int error)
{
	struct journal *j = &spool->journal;
	if (i >= JOURNAL_MAX)
		bug("settle answered for a segment that is not there");
	struct segment *seg = &j->seg[i];
	if (type == SETTLE_UNSEGMENT && error == 0) {
		journal_removed(j);
		return;
	}
	if (type == SETTLE_UNSEGMENT) {
		seg->state = SEGMENT_FAILED;
		pause_after(type, i, error);
		return;
	}
	making = false;
	seg->state = SEGMENT_ABSENT;
	if (error == 0 && journal_adopt(j, i) < 0)
		error = errno;
	if (error != 0)
		pause_after(type, i, error);
}

static void
on_answer(char type, uint64_t id, int error)
{
	if (type == SETTLE_PUBLISH)
		published(id, error);
	else if (type == SETTLE_SEGMENT || type == SETTLE_UNSEGMENT)
		take_segment(type, id, error);
	else
		take_answer(type, id, error);
}

void
tend_init(struct spool *s, const int fds[SETTLE_PROCESSES])
{
	spool = s;
	errand_init(fds, on_answer);
}
