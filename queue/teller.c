/* SPDX-License-Identifier: ISC
 * teller: contract in teller.h.
 */
#include "queue/teller.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"
#include "common/loop.h"
#include "queue/commit.h"
#include "queue/messfile.h"

enum {
	NOTE_HEAD = 512, /* more than an N takes without its recipients */
	MORE = 1,	 /* flag of N and n: more recipients follow */
	HELD_MAX = 1024, /* descriptors given with notes that are not done */
	FORGET_EVERY_MS = 5000, /* half of them count as closed after this */
	PACKETS_AT_ONCE = 64,	/* read from qmgr between two commits */
	MARKS_AT_ONCE = 2048,	/* in an `m` */
	BACKLOG = 1024 * 1024, /* bytes of answers: above it qmgr is not read */
	CHECKED_BODY = 1024 * 1024 /* larger ones are not checked again */
};

/* An answer to W that waits to be sent. */
struct replaced {
	uint64_t id;
	uint32_t idx;
	uint32_t told; /* how many of its recipients */
	uint32_t n;    /* bytes that follow: as in the record */
	char verdict;
};

/* What is wanted of a message to tell it. */
struct telling {
	uint32_t slot;
	const struct ledger_entry *e;
	struct envelope env;
	struct str body;       /* of one that has no file */
	uint64_t offset, size; /* of the body in its descriptor */
	struct messfile *file; /* NULL: none, or not open here */
};

/* The recipients in the order of their numbers: the envelope's, those that the
 * file holds, those that it lacks. */
struct roster {
	struct strings row;
	uint32_t idx; /* of the next one */
	const struct messfile *file;
	size_t at;
	const struct ledger_extra *extra;
};

static struct spool *spool;
static struct watch watch;
static unsigned link_number;
static bool told_end;	    /* `E` was sent on this link */
static uint32_t cursor;	    /* first slot that is not (wholly) told */
static uint32_t cursor_idx; /* 0: not begun */
static unsigned held;
static int64_t forget_at;
static struct bytes marked = { .vital = true }; /* 12 bytes each, as in `m` */
static struct bytes answers = { .vital =
				    true }; /* struct replaced and its bytes */
static struct bytes wanted = { .vital = true }; /* ids of O */
static char space[PACKET_MAX];
static char groups[PACKET_MAX - NOTE_HEAD];
static char incoming[PACKET_MAX];
static char
    record_space[RECORD_HEAD + ENVELOPE_MAX + LIMIT_SMALL_BODY + RECORD_ALIGN];

/* ---- the link ---- */

static void
unlink_qmgr(void)
{
	loop_remove(&watch);
	io_close(&watch.fd);
	bytes_free(&marked);
	bytes_free(&answers);
	bytes_free(&wanted);
}

static void
want_output(bool want)
{
	if (watch.fd < 0)
		return;
	size_t backlog = marked.n + answers.n + wanted.n + commit_backlog();
	uint32_t in = backlog > BACKLOG ? 0 : EPOLLIN;
	loop_change(&watch, want ? in | EPOLLOUT : in);
}

/* False: not now (or the link is gone). */
static bool
tell(const struct buf *b, const int *fd)
{
	int r = packet_send(watch.fd, buf_str(b), fd, fd == NULL ? 0 : 1);
	if (r < 0 && fd != NULL && errno == ETOOMANYREFS)
		r = packet_send(watch.fd, buf_str(b), NULL, 0);
	if (r == 0)
		return true;
	if (errno != EAGAIN && errno != ENOBUFS) {
		LOG(WARN, "link-lost", F_TEXT("peer", "qmgr"), F_ERRNO(errno));
		unlink_qmgr();
	}
	return false;
}

/* ---- bodies ---- */

/* A sealed memfd with these bytes, or -1. */
static int
seal(struct str body)
{
	enum { NOEXEC = 0x8 /* MFD_NOEXEC_SEAL of Linux 6.3 */ };
	static unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | NOEXEC;
	int fd = memfd_create("message", flags);
	if (fd < 0 && errno == EINVAL && (flags & NOEXEC) != 0) {
		flags &= ~(unsigned)NOEXEC;
		fd = memfd_create("message", flags);
	}
	if (fd < 0)
		return -1;
	if (io_write_all(fd, body) == 0 &&
	    fcntl(fd, F_ADD_SEALS,
		F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0)
		return fd;
	int saved = errno;
	io_close(&fd);
	errno = saved;
	return -1;
}

static int
open_file(uint64_t id)
{
	char name[MESS_NAME];
	mess_name(id, name);
	return openat(spool->dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
}

/* Reads the record of e into record_space.  0, or -1 with errno. */
static int
read_record(const struct ledger_entry *e, struct str *meta, struct str *body)
{
	const struct segment *seg = journal_at(&spool->journal, e->segment);
	struct record r;
	uint64_t n = record_span(e->meta_n, e->body_n);
	errno = EBADMSG;
	if (seg == NULL || n > sizeof(record_space))
		return -1;
	int64_t got = io_pread_all(seg->fd, record_space, (size_t)n, e->offset);
	if (got < 0)
		return -1;
	struct str in = { .p = record_space, .n = (size_t)got };
	if (record_open(spool->key, e->offset, in, &r, meta, body) &&
	    r.id == e->id && r.epoch == seg->epoch)
		return 0;
	errno = EBADMSG;
	return -1;
}

/* ---- telling a message ---- */

static bool
next_row(struct roster *r)
{
	enum mess_entry type;
	struct str content;
	struct replacement by;
	while (r->file != NULL &&
	       messfile_next(r->file, spool->key, &r->at, &type, &content))
		if (type == MESS_REPLACEMENT &&
		    replacement_open(content, &by) && by.first == r->idx) {
			r->row = by.by;
			return true;
		}
	r->file = NULL;
	for (; r->extra != NULL; r->extra = r->extra->next) {
		struct str c = { .p = r->extra->content, .n = r->extra->n };
		if (!replacement_open(c, &by) || by.first != r->idx)
			continue;
		r->row = by.by;
		r->extra = r->extra->next;
		return true;
	}
	return false;
}

/* The next unfinished recipient from number `from` on. */
static bool
next_recipient(struct roster *r, const struct ledger_entry *e, uint32_t from,
    uint32_t *idx, struct str *address)
{
	for (;;) {
		if (!strings_next(&r->row, address)) {
			if (!next_row(r))
				return false;
			continue;
		}
		*idx = r->idx++;
		if (*idx >= from && !ledger_is_done(e, *idx))
			return true;
	}
}

static void
put_note_head(struct buf *b, const struct telling *t, uint8_t flags)
{
	packet_begin(b, cursor_idx == 0 ? 'N' : 'n');
	packet_u64(b, t->e->id);
	if (cursor_idx == 0) {
		packet_u64(b, t->env.birth);
		packet_u64(b, t->size);
		packet_u64(b, t->offset);
	}
	packet_u8(b, flags);
	if (cursor_idx == 0) {
		packet_str(b, t->env.sender);
		packet_str(b, t->env.sid);
	}
}

/* A descriptor to go with the note, or -1: qmgr will ask for it. */
static int
body_of(const struct telling *t)
{
	if (held >= HELD_MAX)
		return -1;
	if ((t->e->flags & LEDGER_FILE) != 0)
		return open_file(t->e->id);
	return seal(t->body);
}

static bool
send_note(const struct telling *t, struct buf *b)
{
	int fd = cursor_idx == 0 ? body_of(t) : -1;
	bool sent = tell(b, fd >= 0 ? &fd : NULL);
	if (sent && fd >= 0) {
		ledger_at(&spool->ledger, t->slot)->flags |= LEDGER_HELD;
		held++;
	}
	io_close(&fd);
	return sent;
}

static void
advance_cursor(void)
{
	cursor = ledger_at(&spool->ledger, cursor)->newer;
	cursor_idx = 0;
}

/* Tells the message at the cursor, from cursor_idx on.  False: not all of it
 * could be sent now. */
static bool
tell_message(const struct telling *t)
{
	struct roster r = {
		.row = t->env.recipients, .file = t->file, .extra = t->e->extra
	};
	uint32_t idx;
	struct str address;
	bool have = next_recipient(&r, t->e, cursor_idx, &idx, &address);
	while (have) {
		struct buf g = BUF_ON(groups);
		uint32_t count = 0;
		while (have && address.n + 8 <= buf_room(&g)) {
			packet_u32(&g, idx);
			packet_str(&g, address);
			count++;
			have = next_recipient(&r, t->e, 0, &idx, &address);
		}
		struct buf b = BUF_ON(space);
		put_note_head(&b, t,
		    (uint8_t)((t->env.flags & ENVELOPE_8BIT) |
			      (have ? MORE : 0)));
		packet_u32(&b, count);
		buf_put(&b, buf_str(&g));
		if (!send_note(t, &b))
			return false;
		cursor_idx = have ? idx : cursor_idx;
	}
	advance_cursor();
	return true;
}

/* ---- what is told: from memory, from the disk ---- */

static bool
tell_draft(const struct draft *d)
{
	struct telling t = { .slot = d->slot,
		.e = ledger_at(&spool->ledger, d->slot),
		.body = bytes_str(&d->body),
		.offset = d->fd >= 0 ? MESS_BODY_AT : 0,
		.size = d->size };
	if (!envelope_open(draft_meta(d), &t.env)) {
		advance_cursor();
		return true;
	}
	return tell_message(&t);
}

static bool
tell_file(struct telling *t)
{
	struct messfile f;
	if (messfile_open(spool->dirfd, spool->key, t->e->id, &f) < 0) {
		LOG(ERROR, "unreadable", F_ID(t->e->id), F_ERRNO(errno));
		advance_cursor();
		return true;
	}
	t->env = f.envelope;
	t->offset = MESS_BODY_AT;
	t->size = f.head.body_n;
	t->file = &f;
	bool done = tell_message(t);
	messfile_close(&f);
	return done;
}

/* Tells the message at the cursor. */
static bool
tell_stored(void)
{
	struct telling t = { .slot = cursor,
		.e = ledger_at(&spool->ledger, cursor) };
	struct str meta;
	if (t.e->left == 0) {
		advance_cursor(); /* only its file is still there */
		return true;
	}
	if ((t.e->flags & LEDGER_FILE) != 0)
		return tell_file(&t);
	if (read_record(t.e, &meta, &t.body) < 0 ||
	    !envelope_open(meta, &t.env)) {
		LOG(ERROR, "unreadable", F_ID(t.e->id), F_ERRNO(errno));
		advance_cursor();
		return true;
	}
	t.size = t.body.n;
	return tell_message(&t);
}

void
teller_new(const struct draft *first)
{
	for (const struct draft *d = first; d != NULL; d = d->next) {
		if (d->slot == LEDGER_NONE)
			continue;
		if (watch.fd < 0 ||
		    (cursor != LEDGER_NONE && cursor != d->slot))
			return; /* it lags: the disk has it */
		cursor = d->slot;
		if (!tell_draft(d)) {
			want_output(true);
			return;
		}
	}
}

void
teller_dropped(uint32_t slot)
{
	const struct ledger_entry *e = ledger_at(&spool->ledger, slot);
	if ((e->flags & LEDGER_HELD) != 0 && held > 0)
		held--;
	if (slot == cursor)
		advance_cursor();
}

/* ---- answers ---- */

void
teller_marked(uint64_t id, uint32_t idx, unsigned link)
{
	char text[12];
	struct buf b = BUF_ON(text);
	if (link != link_number || watch.fd < 0)
		return; /* a new qmgr sees what is left in the index */
	packet_u64(&b, id);
	packet_u32(&b, idx);
	if (!bytes_put(&marked, buf_str(&b)))
		LOG(ERROR, "no-memory", F_ID(id));
}

void
teller_replaced(
    uint64_t id, uint32_t idx, char verdict, struct str content, unsigned link)
{
	const struct replaced a = { .id = id,
		.idx = idx,
		.verdict = verdict,
		.n = (uint32_t)content.n };
	struct str head = { .p = (const char *)&a, .n = sizeof(a) };
	if (link != link_number || watch.fd < 0)
		return;
	if (!bytes_reserve(&answers, answers.n + head.n + content.n) ||
	    !bytes_put(&answers, head) || !bytes_put(&answers, content))
		LOG(ERROR, "no-memory", F_ID(id));
}

static bool
send_marked(void)
{
	while (marked.n > 0) {
		struct str s = str_head(bytes_str(&marked), 12 * MARKS_AT_ONCE);
		struct buf b = BUF_ON(space);
		packet_begin(&b, 'm');
		packet_u32(&b, (uint32_t)(s.n / 12));
		buf_put(&b, s);
		if (!tell(&b, NULL))
			return false;
		bytes_drop(&marked, s.n);
	}
	return true;
}

/* Tells the recipients that came with a replacement, from a->told on. */
static bool
send_new_recipients(struct replaced *a, struct str content)
{
	struct replacement by;
	if (a->n == 0 || !replacement_open(content, &by))
		return true;
	struct str address;
	uint32_t i = 0;
	bool have = strings_next(&by.by, &address);
	for (; have && i < a->told; i++)
		have = strings_next(&by.by, &address);
	while (have) {
		struct buf g = BUF_ON(groups);
		uint32_t count = 0;
		for (; have && address.n + 8 <= buf_room(&g); count++) {
			packet_u32(&g, by.first + i++);
			packet_str(&g, address);
			have = strings_next(&by.by, &address);
		}
		struct buf b = BUF_ON(space);
		packet_begin(&b, 'n');
		packet_u64(&b, a->id);
		packet_u8(&b, have ? MORE : 0);
		packet_u32(&b, count);
		buf_put(&b, buf_str(&g));
		if (!tell(&b, NULL))
			return false;
		a->told = i;
	}
	return true;
}

/* While a message is half told, its new recipients would come twice: then qmgr
 * is to ask again. */
static bool
is_half_told(uint64_t id)
{
	return cursor != LEDGER_NONE && cursor_idx > 0 &&
	       ledger_at(&spool->ledger, cursor)->id == id;
}

static bool
send_replaced(void)
{
	while (answers.n > 0) {
		struct replaced a;
		memcpy(&a, answers.p, sizeof(a));
		struct str content = { .p = answers.p + sizeof(a), .n = a.n };
		if (a.verdict == 'K' && is_half_told(a.id))
			a.verdict = 'Z';
		bool told =
		    a.verdict != 'K' || send_new_recipients(&a, content);
		if (watch.fd < 0)
			return false;
		memcpy(answers.p, &a, sizeof(a));
		if (!told)
			return false;
		struct buf b = BUF_ON(space);
		packet_begin(&b, 'w');
		packet_u64(&b, a.id);
		packet_u32(&b, a.idx);
		packet_u8(&b, (uint8_t)a.verdict);
		packet_str(&b, a.verdict == 'K' ? STR("2.0.0 Replaced")
			       : a.verdict == 'D'
				   ? STR("5.4.6 Too many recipients")
				   : STR("4.3.0 Not now"));
		if (!tell(&b, NULL))
			return false;
		bytes_drop(&answers, sizeof(a) + a.n);
	}
	return true;
}

/* Opens the body of a message for `o`.  -1 with errno. */
static int
open_body(uint64_t id, uint64_t *offset, uint64_t *size)
{
	uint32_t slot = ledger_find(&spool->ledger, id);
	struct str meta, body;
	struct messfile f;
	errno = ENOENT;
	if (slot == LEDGER_NONE)
		return -1;
	const struct ledger_entry *e = ledger_at(&spool->ledger, slot);
	if ((e->flags & LEDGER_FILE) == 0) {
		if (read_record(e, &meta, &body) < 0)
			return -1;
		*offset = 0;
		*size = body.n;
		return seal(body);
	}
	if (messfile_open(spool->dirfd, spool->key, id, &f) < 0)
		return -1;
	*offset = MESS_BODY_AT;
	*size = f.head.body_n;
	bool ok = *size > CHECKED_BODY || messfile_body_ok(&f, spool->key);
	messfile_close(&f);
	errno = EBADMSG;
	return ok ? open_file(id) : -1;
}

static bool
send_body(uint64_t id)
{
	uint64_t offset = 0, size = 0;
	int fd = open_body(id, &offset, &size);
	int e = fd < 0 ? errno : 0;
	struct buf b = BUF_ON(space);
	if (e != 0)
		LOG(ERROR, "unreadable", F_ID(id), F_ERRNO(e));
	packet_begin(&b, 'o');
	packet_u64(&b, id);
	packet_u8(&b, e == 0 ? 'K' : e == EBADMSG || e == ENOENT ? 'D' : 'Z');
	packet_u64(&b, offset);
	packet_u64(&b, size);
	packet_str(&b, e == 0 ? STR("2.0.0 Here")
		       : e == EBADMSG
			   ? STR("5.3.0 Message is damaged in the spool")
		       : e == ENOENT ? STR("5.3.0 No such message")
				     : STR("4.3.0 Spool cannot be read now"));
	bool sent = tell(&b, fd >= 0 ? &fd : NULL);
	io_close(&fd);
	return sent;
}

static bool
send_wanted(void)
{
	while (wanted.n >= sizeof(uint64_t)) {
		uint64_t id;
		memcpy(&id, wanted.p, sizeof(id));
		if (!send_body(id))
			return false;
		bytes_drop(&wanted, sizeof(id));
	}
	return true;
}

static bool
send_notes(void)
{
	while (cursor != LEDGER_NONE)
		if (!tell_stored())
			return false;
	if (told_end)
		return true;
	struct buf b = BUF_ON(space);
	packet_begin(&b, 'E');
	told_end = tell(&b, NULL);
	return told_end;
}

void
teller_run(void)
{
	int64_t now = clock_mono_ms();
	if (now >= forget_at) {
		/* what is deferred keeps no descriptor: do not count it */
		held /= 2;
		forget_at = now + FORGET_EVERY_MS;
	}
	if (watch.fd < 0)
		return;
	bool all =
	    send_replaced() && send_wanted() && send_marked() && send_notes();
	want_output(!all);
}

/* ---- what qmgr says ---- */

static bool
on_marks(struct packet *p)
{
	uint32_t count = packet_get_u32(p);
	struct mark m;
	if (p->bad || p->rest.n != (size_t)count * ENVELOPE_MARK)
		return false;
	while (mark_next(&p->rest, &m)) {
		uint32_t slot = ledger_find(&spool->ledger, m.id);
		if (m.verdict != 'K' && m.verdict != 'D')
			return false;
		if (slot == LEDGER_NONE ||
		    ledger_is_done(ledger_at(&spool->ledger, slot), m.idx))
			teller_marked(m.id, m.idx, link_number);
		else if (!commit_mark(&m, link_number))
			LOG(ERROR, "no-memory", F_ID(m.id));
	}
	return true;
}

static bool
on_replace(struct packet *p)
{
	uint64_t id = packet_get_u64(p);
	uint32_t idx = packet_get_u32(p);
	struct strings by = { .count = packet_get_u32(p) };
	by.bytes = p->rest;
	for (uint32_t i = 0; i < by.count && !p->bad; i++)
		if (!envelope_recipient_ok(packet_get_str(p, LIMIT_ADDRESS)))
			p->bad = true;
	if (!packet_end(p) || by.count == 0)
		return false;
	if (!commit_replace(id, idx, &by, link_number))
		teller_replaced(
		    id, idx, 'Z', (struct str){ .p = "", .n = 0 }, link_number);
	return true;
}

static bool
on_open(struct packet *p)
{
	uint64_t id = packet_get_u64(p);
	struct str s = { .p = (const char *)&id, .n = sizeof(id) };
	if (!packet_end(p))
		return false;
	if (!bytes_put(&wanted, s))
		LOG(ERROR, "no-memory", F_ID(id));
	return true;
}

static void
take_packet(struct packet *p)
{
	bool ok = false;
	if (p->type == 'M')
		ok = on_marks(p);
	else if (p->type == 'W')
		ok = on_replace(p);
	else if (p->type == 'O')
		ok = on_open(p);
	if (!ok)
		LOG(ERROR, "bad-packet", F_TEXT("peer", "qmgr"));
}

static void
on_ready(struct watch *w, uint32_t events)
{
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0)
		return; /* room to send: teller_run comes */
	for (int i = 0; i < PACKETS_AT_ONCE; i++) {
		struct str bytes;
		int fds[PACKET_FDS];
		size_t nfds;
		int n = packet_recv(w->fd, incoming, sizeof(incoming),
		    MSG_DONTWAIT, &bytes, fds, &nfds);
		if (n < 0 && errno == EMSGSIZE)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			unlink_qmgr(); /* a new link comes with the next one */
			return;
		}
		packet_close_fds(fds, nfds);
		struct packet p = packet_open(bytes);
		take_packet(&p);
	}
}

void
teller_link(int fd)
{
	unlink_qmgr();
	link_number++;
	told_end = false;
	held = 0;
	cursor = spool->ledger.oldest;
	cursor_idx = 0;
	watch.fd = fd;
	if (loop_add(&watch, EPOLLIN) < 0) {
		LOG(ERROR, "link", F_ERRNO(errno));
		io_close(&watch.fd);
	}
}

void
teller_init(struct spool *s)
{
	spool = s;
	spool->on_drop = teller_dropped;
	watch = (struct watch){ .fd = -1, .ready = on_ready };
	cursor = LEDGER_NONE;
}
