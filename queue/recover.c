/* SPDX-License-Identifier: ISC
 * recover: spool_recover of spool.h.  The names of the files in mess/ first
 * (found.h), then the journal's records: a file wins over a record of its id.
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
#include "queue/found.h"
#include "queue/messfile.h"

enum { SALVAGE_MAX = 1024 * 1024 };

/* ---- records ---- */

/* A file that was named but whose bytes did not reach the disk: its record is
 * still here, for a segment is freed only after that. */
static bool
file_is_whole(struct spool *s, uint64_t id)
{
	struct messfile f;
	char name[MESS_NAME];
	bool ok = messfile_open(s->dirfd, s->key, id, &f) == 0;
	if (ok) {
		ok = messfile_body_ok(&f, s->key);
		messfile_close(&f);
	}
	if (!ok) {
		mess_name(id, name);
		spool_quarantine(s, name, id);
	}
	return ok;
}

static void
take_new(struct spool *s, struct segment *seg, uint64_t offset,
    const struct record *r, uint32_t recipients)
{
	uint32_t slot = found_slot(s, r->id);
	if (slot != LEDGER_NONE) {
		struct ledger_entry *e = ledger_at(&s->ledger, slot);
		e->segment = seg->number;
		if ((e->flags & LEDGER_GONE) != 0 || e->left == 0 ||
		    file_is_whole(s, r->id))
			return;
		/* all that the file knew is in this segment and later ones */
		ledger_drop(&s->ledger, slot);
	}
	slot = ledger_add(&s->ledger, r->id, recipients);
	if (slot == LEDGER_NONE)
		die(EXITCODE_TEMPORARY, "recovery", ENOMEM);
	struct ledger_entry *e = ledger_at(&s->ledger, slot);
	e->segment = seg->number;
	e->offset = (uint32_t)offset;
	e->meta_n = r->meta_n;
	e->body_n = r->body_n;
	ledger_push(&s->ledger, &seg->live, slot);
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
	take_new(s, seg, offset, r, env.recipients.count);
	/* even when a file holds the message: what it finishes is said here */
	for (size_t i = 0; i < env.finished.n / sizeof(uint32_t); i++)
		(void)spool_mark(
		    s, env.finishes, envelope_finished(&env, i), seg->number);
}

static void
void_message(struct spool *s, uint64_t id)
{
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

/* A head that claims to be of this segment, with no right checksum. */
static bool
claims(const struct segment *seg, const struct record *r)
{
	return r->type != 0 && r->epoch == seg->epoch;
}

static void
replay(struct spool *s, struct segment *seg, struct str bytes,
    uint64_t first_sequence)
{
	uint64_t last = first_sequence - 1;
	uint64_t bad = 0; /* where something unreadable began */
	for (uint64_t at = RECORD_BLOCK; at < bytes.n;) {
		struct record r;
		struct str meta, body;
		bool ok = record_open(
		    s->key, at, str_skip(bytes, (size_t)at), &r, &meta, &body);
		if (ok && r.epoch == seg->epoch && r.sequence > last) {
			if (r.sequence != last + 1)
				salvage(s, seg, bad == 0 ? at : bad, at,
				    r.sequence - last - 1);
			bad = 0;
			take_record(s, seg, at, &r, meta);
			last = r.sequence;
			at += record_span(r.meta_n, r.body_n);
			continue;
		}
		if (bad == 0 && claims(seg, &r))
			bad = at;
		at = (at / RECORD_BLOCK + 1) * RECORD_BLOCK;
	}
	if (bad != 0)
		salvage(s, seg, bad, bytes.n, 0);
	if (last > s->journal.sequence)
		s->journal.sequence = last;
}

/* Reads what can be read; the rest stays zero. */
static void
read_segment(const struct segment *seg, char *p)
{
	enum { CHUNK = 64 * 1024 };
	memset(p, 0, (size_t)seg->size);
	if (io_pread_all(seg->fd, p, (size_t)seg->size, 0) >= 0)
		return;
	LOG(ERROR, "segment-read", F_NUM("segment", seg->number),
	    F_ERRNO(errno));
	for (uint64_t at = 0; at < seg->size; at += CHUNK) {
		size_t n =
		    seg->size - at < CHUNK ? (size_t)(seg->size - at) : CHUNK;
		if (io_pread_all(seg->fd, p + at, n, at) < 0)
			memset(p + at, 0, n);
	}
}

static void
take_segment(struct spool *s, struct segment *seg)
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
	if (segment_open(s->key, bytes, &h))
		replay(s, seg, bytes, h.first_sequence);
	free(p);
}

/* A segment whose header is damaged may hold mail: it is put aside whole. */
static void
set_aside(struct spool *s, size_t i, const char *why)
{
	struct segment *seg = &s->journal.seg[i];
	char file[JOURNAL_NAME];
	char text[64];
	struct buf b = BUF_ON(text);
	journal_name(i, file);
	buf_puts(&b, "quarantine/journal-");
	buf_puts(&b, file);
	buf_putc(&b, '-');
	buf_put_u64(&b, (uint64_t)clock_now());
	const char *to = buf_cstr(&b);
	int e = renameat(s->journal.dirfd, file, s->dirfd, to) < 0 ? errno : 0;
	LOG(ERROR, "segment-damaged", F_TEXT("file", file), F_TEXT("why", why),
	    F_TEXT("kept", to), F_TEXT("error", e == 0 ? "no" : strerror(e)));
	io_close(&seg->fd);
	/* when it cannot be moved, it must not be overwritten either */
	seg->state = e == 0 ? SEGMENT_ABSENT : SEGMENT_REMOVING;
	s->journal.free--;
	s->journal.made -= e == 0;
}

static void
find_segment(struct spool *s, size_t i)
{
	char block[RECORD_BLOCK];
	struct segment_head h;
	struct journal *j = &s->journal;
	struct segment *seg = &j->seg[i];
	if (journal_adopt(j, i) < 0) {
		if (errno == ENOENT)
			return;
		LOG(ERROR, "segment-open", F_NUM("file", i), F_ERRNO(errno));
		seg->state = SEGMENT_REMOVING; /* its name is not free */
		return;
	}
	int64_t n = io_pread_all(seg->fd, block, sizeof(block), 0);
	struct str bytes = { .p = block, .n = n < 0 ? 0 : (size_t)n };
	if (n > 0 && block[0] == '\0')
		return; /* never opened */
	if (!segment_open(s->key, bytes, &h)) {
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
	if (j->oldest <= j->newest)
		for (uint32_t n = j->oldest; n <= j->newest; n++) {
			struct segment *seg = journal_at(j, n);
			if (seg == NULL)
				continue;
			take_segment(s, seg);
			found++;
		}
	finish_files(s);
	s->recovering = false;
	LOG(INFO, "recovered",
	    F_NUM("messages", s->ledger.count + s->found.left),
	    F_NUM("files", s->found.n), F_NUM("unread", s->found.left),
	    F_NUM("segments", found), F_NUM("ms", clock_mono_ms() - began));
}
