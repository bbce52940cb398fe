/* SPDX-License-Identifier: ISC
 * note: contract in note.h.
 */
#include "queue/note.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "common/io.h"
#include "common/log.h"
#include "queue/found.h"

/* The recipients in the order of their numbers: the envelope's, those that the
 * file holds, those that it lacks. */
struct roster {
	struct strings row;
	uint32_t idx; /* of the next one */
	const unsigned char *key;
	const struct messfile *file;
	size_t at;
	const struct ledger_extra *extra;
};

static char groups[PACKET_MAX - NOTE_HEAD];
static char
    record_space[RECORD_HEAD + ENVELOPE_MAX + LIMIT_SMALL_BODY + RECORD_ALIGN];

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
open_file(const struct spool *spool, uint64_t id)
{
	char name[MESS_NAME];
	mess_name(id, name);
	return openat(spool->dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
}

/* Reads the record of e into record_space.  0, or -1 with errno. */
static int
read_record(const struct spool *spool, const struct ledger_entry *e,
    struct str *meta, struct str *body)
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

int
note_body(const struct spool *spool, const struct note *n)
{
	if ((n->e->flags & LEDGER_FILE) != 0)
		return open_file(spool, n->e->id);
	return seal(n->body);
}

static int
open_body(struct spool *spool, uint64_t id, uint64_t *offset, uint64_t *size)
{
	uint32_t slot = found_slot(spool, id);
	struct str meta, body;
	struct messfile f;
	errno = ENOENT;
	if (slot == LEDGER_NONE)
		return -1;
	const struct ledger_entry *e = ledger_at(&spool->ledger, slot);
	if ((e->flags & LEDGER_FILE) == 0) {
		if (read_record(spool, e, &meta, &body) < 0)
			return -1;
		*offset = 0;
		*size = body.n;
		return seal(body);
	}
	if (messfile_open(spool->dirfd, spool->key, id, &f) < 0)
		return -1;
	*offset = MESS_BODY_AT;
	*size = f.head.body_n;
	bool ok = messfile_body_ok(&f, spool->key);
	messfile_close(&f);
	errno = EBADMSG;
	return ok ? open_file(spool, id) : -1;
}

int
note_answer(struct spool *spool, uint64_t id, struct buf *b)
{
	uint64_t offset = 0, size = 0;
	int fd = open_body(spool, id, &offset, &size);
	int e = fd < 0 ? errno : 0;
	if (e != 0)
		LOG(ERROR, "unreadable", F_ID(id), F_ERRNO(e));
	if (e == EBADMSG) /* qmgr gives it up now */
		spool_put_aside(spool, ledger_find(&spool->ledger, id));
	packet_begin(b, 'o');
	packet_u64(b, id);
	packet_u8(b, e == 0 ? 'K' : e == EBADMSG || e == ENOENT ? 'D' : 'Z');
	packet_u64(b, offset);
	packet_u64(b, size);
	packet_str(b, e == 0 ? STR("2.0.0 Here")
		      : e == EBADMSG
			  ? STR("5.3.0 Message is damaged in the spool")
		      : e == ENOENT ? STR("5.3.0 No such message")
				    : STR("4.3.0 Spool cannot be read now"));
	return fd;
}

/* ---- recipients ---- */

static bool
next_row(struct roster *r)
{
	enum mess_entry type;
	struct str content;
	struct replacement by;
	while (r->file != NULL &&
	       messfile_next(r->file, r->key, &r->at, &type, &content))
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
next_recipient(struct roster *r, const struct note *n, uint32_t from,
    uint32_t *idx, struct str *address)
{
	/* the file in the drop box is nobody to deliver to */
	if (from == 0 && (n->env.flags & ENVELOPE_DROPPED) != 0)
		from = 1;
	for (;;) {
		if (!strings_next(&r->row, address)) {
			if (!next_row(r))
				return false;
			continue;
		}
		*idx = r->idx++;
		if (*idx >= from && !ledger_is_done(n->e, *idx))
			return true;
	}
}

static void
put_head(struct buf *b, const struct note *n, bool first, uint8_t flags)
{
	packet_begin(b, first ? 'N' : 'n');
	packet_u64(b, n->e->id);
	if (first) {
		packet_u64(b, n->env.birth);
		packet_u64(b, n->size);
		packet_u64(b, n->offset);
	}
	packet_u8(b, flags);
	if (first) {
		packet_str(b, n->env.sender);
		packet_str(b, n->env.sid);
	}
}

bool
note_put(const struct note *n, struct buf *b, uint32_t *idx, bool *more)
{
	struct roster r = { .row = n->env.recipients,
		.key = n->key,
		.file = n->has_file ? &n->file : NULL,
		.extra = n->e->extra };
	struct buf g = BUF_ON(groups);
	struct str address;
	bool first = *idx == 0;
	uint32_t count = 0;
	bool have = next_recipient(&r, n, *idx, idx, &address);
	while (have && address.n + 2 * sizeof(*idx) <= buf_room(&g)) {
		packet_u32(&g, *idx);
		packet_str(&g, address);
		count++;
		have = next_recipient(&r, n, 0, idx, &address);
	}
	*more = have;
	uint8_t held = (n->e->flags & LEDGER_PARKED) != 0 ? NOTE_HELD : 0;
	put_head(b, n, first,
	    (uint8_t)((n->env.flags & ENVELOPE_8BIT) | held |
		      (have ? NOTE_MORE : 0)));
	packet_u32(b, count);
	buf_put(b, buf_str(&g));
	return count > 0 && !b->full;
}

bool
note_put_new(
    uint64_t id, const struct replacement *by, struct buf *b, uint32_t *told)
{
	struct strings left = by->by;
	struct str address;
	struct buf g = BUF_ON(groups);
	uint32_t count = 0;
	bool have = strings_next(&left, &address);
	for (uint32_t i = 0; have && i < *told; i++)
		have = strings_next(&left, &address);
	if (!have)
		return false;
	for (; have && address.n + 2 * sizeof(count) <= buf_room(&g); count++) {
		packet_u32(&g, by->first + *told + count);
		packet_str(&g, address);
		have = strings_next(&left, &address);
	}
	packet_begin(b, 'n');
	packet_u64(b, id);
	packet_u8(b, have ? NOTE_MORE : 0);
	packet_u32(b, count);
	buf_put(b, buf_str(&g));
	*told += count;
	return true;
}

/* ---- messages ---- */

bool
note_of_draft(const struct spool *spool, const struct draft *d, struct note *n)
{
	n->e = ledger_at(&spool->ledger, d->slot);
	n->key = spool->key;
	n->body = bytes_str(&d->body);
	n->offset = d->fd >= 0 ? MESS_BODY_AT : 0;
	n->size = d->size;
	n->has_file = false;
	return envelope_open(draft_meta(d), &n->env);
}

int
note_load(
    const struct spool *spool, const struct ledger_entry *e, struct note *n)
{
	struct str meta;
	memset(n, 0, sizeof(*n));
	n->e = e;
	n->key = spool->key;
	if ((e->flags & LEDGER_FILE) != 0) {
		if (messfile_open(spool->dirfd, spool->key, e->id, &n->file) <
		    0)
			return -1;
		n->has_file = true;
		n->env = n->file.envelope;
		n->offset = MESS_BODY_AT;
		n->size = n->file.head.body_n;
		return 0;
	}
	if (read_record(spool, e, &meta, &n->body) < 0)
		return -1;
	n->size = n->body.n;
	errno = EBADMSG;
	return envelope_open(meta, &n->env) ? 0 : -1;
}

void
note_close(struct note *n)
{
	if (n->has_file)
		messfile_close(&n->file);
	n->has_file = false;
}
