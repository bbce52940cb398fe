/* SPDX-License-Identifier: ISC
 * letter: contract in letter.h.
 */
#include "inject/letter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include "common/io.h"
#include "inject/qp.h"
#include "inject/text.h"

enum {
	READ = 16 * 1024,
	LINE_LIMIT = 998, /* RFC 5322 2.1.1; longer ones go by QP */
	SLACK = 8	  /* what text_feed may have held back */
};

static char kept_room[COMPOSE_IN];  /* the header, as it came */
static char out_room[COMPOSE_OUT];  /* the header, as it goes */
static char held_room[LETTER_HELD]; /* the beginning of the body */
static char chunk_room[READ + SLACK];
static char coded_room[QP_ROOM(READ + SLACK)];
static struct buf kept = { .p = kept_room, .cap = sizeof(kept_room) };
static struct buf held = { .p = held_room, .cap = sizeof(held_room) };
static uint64_t in_file; /* bytes behind those in `held` */
static struct text_facts facts;

/* ---- before the sandbox ---- */

uint64_t
letter_file_limit(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_FSIZE, &limit) < 0 ? 0 : limit.rlim_cur;
}

/* A file that nobody else can open, below TMPDIR or /tmp, or else in memory. */
static int
nameless_file(void)
{
	const char *dir = secure_getenv("TMPDIR");
	const int flags = O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC;
	int fd = dir != NULL && dir[0] == '/' ? open(dir, flags, 0600) : -1;

	if (fd < 0)
		fd = open("/tmp", flags, 0600);
	return fd >= 0 ? fd : memfd_create("message", MFD_CLOEXEC);
}

bool
letter_open(struct letter *l, struct outcome *o)
{
	l->hold_fd = nameless_file();
	if (l->hold_fd < 0) {
		outcome_set_errno(o, OUTCOME_LATER, "no temporary file", errno);
		return false;
	}
	if (l->print) {
		handoff_print(&l->handoff);
		return true;
	}
	if (handoff_start(&l->handoff) < 0) {
		outcome_set_errno(
		    o, OUTCOME_LATER, "cannot start another process", errno);
		return false;
	}
	return true;
}

void
letter_drop(struct letter *l)
{
	handoff_drop(&l->handoff);
	io_close(&l->hold_fd);
}

static bool
fail(struct letter *l, enum outcome_kind kind, const char *text)
{
	outcome_set(l->outcome, kind, text);
	return false;
}

/* ---- the header ---- */

static void
add_recipient(void *arg, struct str address)
{
	struct letter *l = arg;

	envelope_add(l->envelope, address);
}

static void
take_return_path(void *arg, struct str address)
{
	struct letter *l = arg;

	envelope_set_sender(l->envelope, address);
}

/* compose tells recipients and the return path by callbacks of its own. */
static bool
put_header(struct letter *l, struct compose_mime mime)
{
	static struct compose c;
	struct buf out = BUF_ON(out_room);

	c = (struct compose){ .request = &l->request,
		.survey = &l->survey,
		.mime = mime,
		.out = &out,
		.each = add_recipient,
		.return_path = l->use_return_path ? take_return_path : NULL,
		.arg = l };
	envelope_set_sender(l->envelope, l->sender);
	if (!compose_run(&c, l->header)) {
		outcome_set_about(l->outcome, OUTCOME_DATA,
		    "an address list in the header is wrong", c.field);
		outcome_add(l->outcome, str_of(c.problem));
		if (c.at.n > 0)
			outcome_add(l->outcome, c.at);
		return false;
	}
	if (out.full)
		return fail(l, OUTCOME_DATA, "the header is too large");
	if (l->envelope->full)
		return fail(l, OUTCOME_DATA,
		    "more than 1000 recipients; send it in parts");
	if (l->envelope->count == 0)
		return fail(l, OUTCOME_DATA, l->no_recipients);
	handoff_put(&l->handoff, buf_str(&out));
	return true;
}

/* ---- the body ---- */

static bool
hold(struct letter *l, struct str s)
{
	if (in_file == 0 && s.n <= buf_room(&held)) {
		buf_put(&held, s);
		return true;
	}
	if (io_pwrite_all(l->hold_fd, s, in_file) < 0) {
		outcome_set_errno(l->outcome, OUTCOME_LATER,
		    "cannot write a temporary file", errno);
		return false;
	}
	in_file += s.n;
	return true;
}

static bool
take_body(struct letter *l, struct str s)
{
	if (l->survey.mime) {
		handoff_put(&l->handoff, s);
		return true;
	}
	text_look(&facts, s);
	return hold(l, s);
}

/* As soon as the header is whole. */
static bool
begin_body(struct letter *l)
{
	const struct compose_mime none = { .add = false };

	l->in_body = true;
	compose_survey(l->header, &l->survey);
	return !l->survey.mime || put_header(l, none);
}

static bool
take_text(struct letter *l, struct str s, bool eof)
{
	if (l->in_body)
		return take_body(l, s);
	/* the body's first bytes may need more room than the header has left */
	struct str rest = str_skip(s, buf_room(&kept));

	buf_put(&kept, str_head(s, buf_room(&kept)));
	if (header_find(buf_str(&kept), eof, &l->header, &l->body_at) ==
	    HEADER_MORE)
		return buf_room(&kept) > 0 ||
		       fail(l, OUTCOME_DATA, "the header is over 256 KiB");
	return begin_body(l) &&
	       take_body(l, str_skip(buf_str(&kept), l->body_at)) &&
	       take_body(l, rest);
}

/* ---- input ---- */

static bool
is_good(struct letter *l, enum text_status status)
{
	if (status == TEXT_CR)
		return fail(l, OUTCOME_DATA,
		    "the message holds a CR that ends no line; lines must end "
		    "in LF or CRLF, and binary data must be encoded (MIME)");
	if (status == TEXT_NUL)
		return fail(l, OUTCOME_DATA,
		    "the message holds a NUL byte; encode binary data (MIME)");
	return true;
}

/* Reads on; false when it failed.  *over: that was all. */
static bool
read_some(struct letter *l, struct text *t, uint64_t *size, bool *over)
{
	static char room[READ];
	struct buf chunk = BUF_ON(chunk_room);
	enum text_status status;
	ssize_t n = read(STDIN_FILENO, room, sizeof(room));

	if (n < 0 && errno == EINTR)
		return true;
	if (n < 0) {
		outcome_set_errno(l->outcome, OUTCOME_INPUT,
		    "cannot read the message", errno);
		return false;
	}
	*size += (size_t)n;
	if (l->max_size > 0 && *size > l->max_size)
		return fail(l, OUTCOME_DATA,
		    "the message is larger than control/databytes allows");
	if (n == 0)
		status = text_end(t, &chunk);
	else
		status = text_feed(
		    t, (struct str){ .p = room, .n = (size_t)n }, &chunk);
	*over = n == 0 || status == TEXT_DOT;
	return is_good(l, status) && take_text(l, buf_str(&chunk), *over);
}

/* ---- what was held ---- */

static void
put_piece(struct letter *l, struct qp *qp, struct str s)
{
	struct buf coded = BUF_ON(coded_room);

	if (qp == NULL) {
		handoff_put(&l->handoff, s);
		return;
	}
	qp_feed(qp, s, &coded);
	handoff_put(&l->handoff, buf_str(&coded));
}

static bool
put_file(struct letter *l, struct qp *qp)
{
	for (uint64_t at = 0; at < in_file;) {
		int64_t n = io_pread_all(l->hold_fd, chunk_room, READ, at);

		if (n <= 0) {
			outcome_set_errno(l->outcome, OUTCOME_LATER,
			    "cannot read a temporary file",
			    n < 0 ? errno : EIO);
			return false;
		}
		put_piece(
		    l, qp, (struct str){ .p = chunk_room, .n = (size_t)n });
		at += (uint64_t)n;
	}
	return true;
}

/* Header and body of a text without MIME fields. */
static bool
put_held(struct letter *l)
{
	bool high = facts.utf8.eight_bit;
	struct compose_mime mime = {
		.add = high || facts.longest > LINE_LIMIT,
		.charset = utf8_charset(high, utf8_good(&facts.utf8)),
	};
	struct qp qp = { .column = 0 };
	struct str rest = buf_str(&held);

	if (!put_header(l, mime))
		return false;
	while (rest.n > 0) {
		put_piece(l, mime.add ? &qp : NULL, str_head(rest, READ));
		rest = str_skip(rest, READ);
	}
	if (!put_file(l, mime.add ? &qp : NULL))
		return false;
	if (mime.add) {
		struct buf coded = BUF_ON(coded_room);

		qp_end(&qp, &coded);
		handoff_put(&l->handoff, buf_str(&coded));
	}
	return true;
}

static bool
read_all(struct letter *l)
{
	struct text text = { .dot_ends = l->dot_ends };
	uint64_t size = 0;
	bool over = false;

	/* when the queue program has gone, its exit code says why */
	while (!over && !l->handoff.broken)
		if (!read_some(l, &text, &size, &over))
			return false;
	return l->survey.mime || l->handoff.broken || put_held(l);
}

void
letter_send(struct letter *l, struct outcome *o)
{
	l->outcome = o;
	if (read_all(l))
		handoff_finish(&l->handoff, l->envelope, o);
	else
		letter_drop(l);
}
