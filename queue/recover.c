/* SPDX-License-Identifier: ISC
 * recover: spool_recover of spool.h.  The names of the files in mess/ first
 * (found.h), then the journal's records: a record wins over a file of its id,
 * which is older or as old.
 */
#include "queue/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/die.h"
#include "common/io.h"
#include "common/log.h"
#include "queue/drops.h"
#include "queue/found.h"

enum { SALVAGE_MAX = 1024 * 1024 };

/* What a bounce finished holds only when no later record voids the bounce. */
struct finished {
	uint64_t by, id;
	uint32_t idx, number;
};

static struct finished *finished;
static size_t finished_n;

/* ---- records ---- */

static void
keep_finished(uint64_t by, const struct envelope *env, uint32_t number)
{
	size_t n = env->finished.n / sizeof(uint32_t);
	if (n == 0)
		return;
	struct finished *more =
	    reallocarray(finished, finished_n + n, sizeof(*finished));
	if (more == NULL)
		die(EXITCODE_TEMPORARY, "recovery", ENOMEM);
	finished = more;
	for (size_t i = 0; i < n; i++)
		finished[finished_n++] = (struct finished){ .by = by,
			.id = env->finishes,
			.idx = envelope_finished(env, i),
			.number = number };
}

static void
take_finished(struct spool *s)
{
	for (size_t i = 0; i < finished_n; i++)
		if (finished[i].by != 0)
			(void)spool_mark(s, finished[i].id, finished[i].idx,
			    finished[i].number);
	free(finished);
	finished = NULL;
	finished_n = 0;
}

static void
take_message(struct spool *s, struct segment *seg, uint64_t offset,
    const struct record *r, struct str meta)
{
	struct envelope env;
	if (!envelope_open(meta, &env)) {
		LOG(ERROR, "damaged", F_ID(r->id),
		    F_NUM("segment", seg->number));
		return;
	}
	keep_finished(r->id, &env, seg->number);
	drops_found(&env, r->id);
	/* it and the records behind it know all that a file does: settle makes
	 * that anew, and here a read for each would cost those who wait */
	bool named = found_skip(s, r->id);
	uint32_t slot = ledger_find(&s->ledger, r->id);
	if (slot != LEDGER_NONE) { /* something was said of it before */
		ledger_at(&s->ledger, slot)->segment = seg->number;
		return;
	}
	slot = ledger_add(&s->ledger, r->id, env.recipients.count);
	if (slot == LEDGER_NONE)
		die(EXITCODE_TEMPORARY, "recovery", ENOMEM);
	struct ledger_entry *e = ledger_at(&s->ledger, slot);
	e->segment = seg->number;
	e->offset = (uint32_t)offset;
	e->meta_n = r->meta_n;
	e->body_n = r->body_n;
	e->flags = named ? LEDGER_NAMED : 0;
	ledger_push(&s->ledger, &seg->live, slot);
}

static void
void_message(struct spool *s, uint64_t id)
{
	for (size_t i = 0; i < finished_n; i++)
		if (finished[i].by == id)
			finished[i].by = 0;
	uint32_t slot = found_slot(s, id);
	if (slot == LEDGER_NONE)
		return;
	struct ledger_entry *e = ledger_at(&s->ledger, slot);
	struct segment *seg = journal_at(&s->journal, e->segment);
	if ((e->flags & LEDGER_FILE) != 0 || seg == NULL)
		return;
	ledger_unlink(&s->ledger, &seg->live, slot);
	ledger_drop(&s->ledger, slot);
}

static void
take_record(struct spool *s, struct segment *seg, uint64_t offset,
    const struct record *r, struct str meta)
{
	struct mark m;
	if (r->id > s->last_id)
		s->last_id = r->id;
	switch (r->type) {
	case RECORD_MESSAGE:
		take_message(s, seg, offset, r, meta);
		break;
	case RECORD_MARKS:
		while (mark_next(&meta, &m))
			spool_take_mark(s, &m, seg->number);
		break;
	case RECORD_REPLACE:
		(void)spool_replace(s, r->id, meta, seg->number);
		break;
	case RECORD_VOID:
		while (mark_next(&meta, &m))
			void_message(s, m.id);
		break;
	}
}

/* ---- segments ---- */

/* Keeps the bytes of records that cannot be read. */
static void
salvage(struct spool *s, const struct segment *seg, uint64_t from, uint64_t to,
    uint64_t lost)
{
	char text[64];
	struct buf kept = BUF_ON(text);
	int e = spool_salvage(s, seg, from,
	    to - from < SALVAGE_MAX ? to - from : SALVAGE_MAX, &kept);
	struct str error = str_of(e == 0 ? "none" : strerror(e));
	if (lost > 0)
		LOG(ERROR, "records-lost", F_NUM("segment", seg->number),
		    F_NUM("from", from), F_NUM("to", to),
		    F_NUM("records", lost), F_STR("kept", buf_str(&kept)),
		    F_STR("error", error));
	else
		LOG(WARN, "torn-record", F_NUM("segment", seg->number),
		    F_NUM("from", from), F_NUM("to", to),
		    F_STR("kept", buf_str(&kept)), F_STR("error", error));
}

/* The sequence of the segment's last record. */
static uint64_t
replay(struct spool *s, struct segment *seg, struct str bytes,
    uint64_t first_sequence)
{
	uint64_t last = first_sequence - 1;
	uint64_t bad = 0; /* where something unreadable began */
	for (uint64_t at = RECORD_BLOCK; at < bytes.n;) {
		struct record r;
		struct str meta, body;
		bool magic;
		struct str in = str_skip(bytes, (size_t)at);
		/* the epoch first: no sender knows it, so that bodies full of
		 * heads with great lengths cost no checksums */
		record_peek(in, &r, &magic);
		if (magic && r.epoch == seg->epoch && r.sequence > last &&
		    record_open(s->key, at, in, &r, &meta, &body)) {
			if (r.sequence != last + 1)
				salvage(s, seg, bad == 0 ? at : bad, at,
				    r.sequence - last - 1);
			bad = 0;
			take_record(s, seg, at, &r, meta);
			last = r.sequence;
			at += record_span(r.meta_n, r.body_n);
			continue;
		}
		if (bad == 0 && record_claims(in, seg->epoch, last))
			bad = at;
		at = (at / RECORD_BLOCK + 1) * RECORD_BLOCK;
	}
	if (bad != 0)
		salvage(s, seg, bad, bytes.n, 0);
	if (last > s->journal.sequence)
		s->journal.sequence = last;
	return last;
}

/* Reads what can be read; the rest stays zero. */
static void
read_segment(struct segment *seg, char *p)
{
	enum { CHUNK = 64 * 1024 };
	memset(p, 0, (size_t)seg->size);
	if (io_pread_all(seg->fd, p, (size_t)seg->size, 0) >= 0)
		return;
	LOG(ERROR, "segment-read", F_NUM("segment", seg->number),
	    F_ERRNO(errno));
	seg->spoiled = true;
	for (uint64_t at = 0; at < seg->size; at += CHUNK) {
		size_t n =
		    seg->size - at < CHUNK ? (size_t)(seg->size - at) : CHUNK;
		if (io_pread_all(seg->fd, p + at, n, at) < 0)
			memset(p + at, 0, n);
	}
}

/* Records that end a segment can vanish without a trace in it; the next one
 * knows with which sequence it began.  last: of the segment before; 0: none. */
static void
check_chain(const struct segment *seg, uint64_t last, uint64_t first)
{
	if (last != 0 && first > last + 1)
		LOG(WARN, "records-missing", F_NUM("before", seg->number),
		    F_NUM("records", first - last - 1),
		    F_TEXT("why", "a write that failed, or damage"));
}

static void
take_segment(struct spool *s, struct segment *seg, uint64_t *last)
{
	char *p = malloc((size_t)seg->size);
	if (p == NULL)
		die(EXITCODE_TEMPORARY, "recovery", ENOMEM);
	/* what a killed queued wrote, but did not sync, counts from now on */
	if (fdatasync(seg->fd) < 0)
		LOG(ERROR, "segment-sync", F_NUM("segment", seg->number),
		    F_ERRNO(errno));
	read_segment(seg, p);
	struct segment_head h;
	struct str bytes = { .p = p, .n = (size_t)seg->size };
	if (segment_open(s->key, bytes, &h)) {
		check_chain(seg, *last, h.first_sequence);
		*last = replay(s, seg, bytes, h.first_sequence);
	}
	free(p);
}

/* A segment whose header is damaged may hold mail: it is put aside whole. */
static void
set_aside(struct spool *s, size_t i, const char *why)
{
	struct journal *j = &s->journal;
	struct segment *seg = &j->seg[i];
	char file[JOURNAL_NAME];
	char text[40];
	char path[64];
	struct buf to = BUF_ON(text);
	struct buf kept = BUF_ON(path);
	journal_name(i, file);
	buf_puts(&to, "journal-");
	buf_puts(&to, file);
	buf_putc(&to, '-');
	buf_put_u64(&to, (uint64_t)clock_now());
	int e = spool_set_aside(s, j->dirfd, file, buf_cstr(&to), &kept);
	LOG(ERROR, "segment-damaged", F_TEXT("file", file), F_TEXT("why", why),
	    F_STR("kept", buf_str(&kept)),
	    F_TEXT("error", e == 0 ? "no" : strerror(e)),
	    F_TEXT("do", SPOOL_ADVICE));
	if (seg->fd >= 0) { /* it was adopted */
		io_close(&seg->fd);
		j->free--;
		j->made--;
	}
	/* when it cannot be moved, it must not be overwritten either */
	seg->state = e == 0 ? SEGMENT_ABSENT : SEGMENT_REMOVING;
	j->made += e != 0;
}

/* What stands in the place of segment i cannot be opened. */
static void
refuse_segment(struct spool *s, size_t i, int error)
{
	if (error == ENOENT)
		return;
	if (found_is_ours(error))
		die(EXITCODE_TEMPORARY, "recovery", error);
	if (error != EIO && error != EACCES && error != EPERM) {
		set_aside(s, i, "no segment, or cut short");
		return;
	}
	LOG(ERROR, "segment-open", F_NUM("file", i), F_ERRNO(error),
	    F_TEXT("do", SPOOL_ADVICE_REPAIR));
	/* perhaps another time: its name is not free */
	s->journal.seg[i].state = SEGMENT_REMOVING;
	s->journal.made++;
}

static void
find_segment(struct spool *s, size_t i)
{
	char block[RECORD_BLOCK];
	struct segment_head h;
	struct journal *j = &s->journal;
	struct segment *seg = &j->seg[i];
	if (journal_adopt(j, i) < 0) {
		refuse_segment(s, i, errno);
		return;
	}
	int64_t n = io_pread_all(seg->fd, block, sizeof(block), 0);
	struct str bytes = { .p = block, .n = n < 0 ? 0 : (size_t)n };
	bool is_sound = segment_open(s->key, bytes, &h);
	int is_new =
	    is_sound || n < 0 ? 0 : journal_is_new(seg->fd, seg->size);
	if (n < 0 || is_new < 0) {
		int e = errno;
		io_close(&seg->fd);
		j->free--;
		j->made--;
		refuse_segment(s, i, e);
		return;
	}
	if (is_new == 1)
		return;
	if (!is_sound) {
		set_aside(s, i, "header");
		return;
	}
	if (h.last_id > s->last_id)
		s->last_id = h.last_id;
	if (h.first_sequence > j->sequence + 1)
		j->sequence = h.first_sequence - 1;
	if (h.use != SEGMENT_USE_LIVE)
		return;
	if (!journal_found(j, seg, &h))
		set_aside(s, i, "number");
}

static void
sweep_making(const struct spool *s)
{
	if (unlinkat(s->journal.dirfd, "new", 0) < 0 && errno != ENOENT)
		LOG(WARN, "cannot-remove", F_TEXT("file", "journal/new"),
		    F_ERRNO(errno));
}

/* Files that say that all is done, and whose record, if there is one, is known
 * now: they go when that cannot come back. */
static void
finish_files(struct spool *s)
{
	uint32_t next;
	for (uint32_t i = s->ledger.oldest; i != LEDGER_NONE; i = next) {
		const struct ledger_entry *e = ledger_at(&s->ledger, i);
		next = e->newer;
		if (e->left == 0 && (e->flags & LEDGER_GONE) == 0)
			spool_finish(s, i);
	}
}

void
spool_recover(struct spool *s)
{
	int64_t began = clock_mono_ms();
	struct journal *j = &s->journal;
	s->recovering = true;
	found_scan(s);
	sweep_making(s);
	for (size_t i = 0; i < JOURNAL_MAX; i++)
		find_segment(s, i);
	uint32_t found = 0;
	uint64_t last = 0;
	if (j->oldest <= j->newest)
		for (uint32_t n = j->oldest; n <= j->newest; n++) {
			struct segment *seg = journal_at(j, n);
			if (seg == NULL)
				continue;
			take_segment(s, seg, &last);
			found++;
		}
	take_finished(s);
	finish_files(s);
	s->recovering = false;
	LOG(INFO, "recovered",
	    F_NUM("messages", s->ledger.count + s->found.left),
	    F_NUM("files", s->found.n), F_NUM("unread", s->found.left),
	    F_NUM("segments", found), F_NUM("ms", clock_mono_ms() - began));
}
