/* SPDX-License-Identifier: ISC
 * session: contract in session.h.
 */
#include "pop3d/session.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"
#include "pop3d/capa.h"
#include "pop3d/wire.h"

enum {
	ERRORS_MAX = 50,
	LISTING_ROOM = 128 /* "4294967295 " and 70 or 20 characters, CRLF */
};

static void
put_error(struct session *s, const char *text)
{
	conn_put(&s->conn, STR("-ERR "));
	conn_put(&s->conn, str_of(text));
	conn_put(&s->conn, STR("\r\n"));
}

static void
put_ok(struct session *s)
{
	conn_put(&s->conn, STR("+OK\r\n"));
}

/* The message that the command names.  False: the reply has been put. */
static bool
find_message(struct session *s, const struct pop3_command *c, uint32_t *i)
{
	if (c->number == 0 || c->number > s->drop.count) {
		put_error(s, "no such message");
		return false;
	}
	*i = c->number - 1;
	if (maildrop_has(&s->drop, *i))
		return true;
	put_error(s, s->drop.messages[*i].gone
			 ? "somebody else has removed that message"
			 : "that message is deleted");
	return false;
}

/* ---- STAT, LIST, UIDL ---- */

static void
totals(struct session *s, uint32_t *count, uint64_t *octets)
{
	*count = 0;
	*octets = 0;
	for (uint32_t i = 0; i < s->drop.count; i++) {
		uint64_t n;
		if (!maildrop_has(&s->drop, i) ||
		    !maildrop_octets(&s->drop, i, &n))
			continue;
		++*count;
		*octets += n;
	}
}

static void
put_two_numbers(struct buf *b, uint64_t first, uint64_t second)
{
	buf_put_u64(b, first);
	buf_putc(b, ' ');
	buf_put_u64(b, second);
}

static void
on_stat(struct session *s, const struct pop3_command *c)
{
	uint32_t count;
	uint64_t octets;

	(void)c;
	totals(s, &count, &octets);
	struct buf *b = conn_room(&s->conn, LISTING_ROOM);
	buf_puts(b, "+OK ");
	put_two_numbers(b, count, octets);
	buf_puts(b, "\r\n");
}

static bool
put_size(struct session *s, uint32_t i, const char *before)
{
	uint64_t octets;

	if (!maildrop_octets(&s->drop, i, &octets))
		return false;
	struct buf *b = conn_room(&s->conn, LISTING_ROOM);
	buf_puts(b, before);
	put_two_numbers(b, (uint64_t)i + 1, octets);
	buf_puts(b, "\r\n");
	return true;
}

static bool
put_uid(struct session *s, uint32_t i, const char *before)
{
	struct buf *b = conn_room(&s->conn, LISTING_ROOM);

	buf_puts(b, before);
	buf_put_u64(b, (uint64_t)i + 1);
	buf_putc(b, ' ');
	maildrop_put_uid(&s->drop, i, b);
	buf_puts(b, "\r\n");
	return true;
}

static void
listing(struct session *s, const struct pop3_command *c,
    bool (*put)(struct session *, uint32_t, const char *))
{
	uint32_t i;

	if (c->has_number) {
		if (find_message(s, c, &i) && !put(s, i, "+OK "))
			put_error(s, "[SYS/TEMP] cannot read that message");
		return;
	}
	put_ok(s);
	for (i = 0; i < s->drop.count && !s->conn.dead; i++)
		if (maildrop_has(&s->drop, i))
			(void)put(s, i, "");
	conn_put(&s->conn, STR(".\r\n"));
}

static void
on_list(struct session *s, const struct pop3_command *c)
{
	listing(s, c, put_size);
}

static void
on_uidl(struct session *s, const struct pop3_command *c)
{
	listing(s, c, put_uid);
}

/* ---- RETR, TOP ---- */

/* A file on its way out: what read(2) brought and how it is sent. */
struct transfer {
	int fd;
	struct wire wire;
	struct str piece;
	uint64_t read, stated;
	bool has_stated, at_end;
};

/* 0, or -1 with errno.  A short read ends the file when the name agrees; else
 * the next read has to say so. */
static int
read_piece(struct session *s, struct transfer *t)
{
	ssize_t n;

	do {
		n = read(t->fd, s->drop.scratch, MAILDROP_SCRATCH);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -1;
	t->piece = (struct str){ .p = s->drop.scratch, .n = (size_t)n };
	t->read += (uint64_t)n;
	t->at_end = n == 0 || (n < MAILDROP_SCRATCH && t->has_stated &&
				  t->read == t->stated);
	return 0;
}

static void
put_start(struct session *s, const struct transfer *t, uint32_t i)
{
	struct buf *b = conn_room(&s->conn, LISTING_ROOM);
	uint64_t octets = s->drop.messages[i].octets;

	if (t->at_end) {
		/* all of it is here: say what is true, not what is stated */
		struct wire w = wire_begin();
		wire_measure(&w, t->piece);
		octets = wire_octets(&w);
	}
	buf_puts(b, "+OK");
	if (octets != MAILDROP_UNKNOWN && !t->wire.limited) {
		buf_putc(b, ' ');
		buf_put_u64(b, octets);
		buf_puts(b, " octets");
	}
	buf_puts(b, "\r\n");
}

static void
put_piece(struct session *s, struct transfer *t)
{
	while (t->piece.n > 0 && !s->conn.dead) {
		struct buf *b = conn_room(&s->conn, WIRE_ROOM);
		t->piece = str_skip(t->piece, wire_feed(&t->wire, t->piece, b));
	}
}

/* False with errno: it broke off, and the client cannot be told. */
static bool
send_file(struct session *s, struct transfer *t)
{
	for (;;) {
		put_piece(s, t);
		if (s->conn.dead || t->at_end || t->wire.done)
			break;
		if (read_piece(s, t) != 0)
			return false;
	}
	wire_end(&t->wire, conn_room(&s->conn, WIRE_ROOM));
	return true;
}

static void
transfer(struct session *s, uint32_t i, struct wire wire)
{
	struct transfer t = { .wire = wire };

	t.has_stated = maildrop_stated(&s->drop, i, &t.stated);
	t.fd = maildrop_message(&s->drop, i);
	if (t.fd < 0 || read_piece(s, &t) != 0) {
		LOG(WARN, "message-unreadable", F_ERRNO(errno));
		put_error(s, "[SYS/TEMP] cannot read that message");
		if (t.fd >= 0)
			close(t.fd);
		return;
	}
	put_start(s, &t, i);
	if (!send_file(s, &t)) {
		/* only a closed connection says that this is not all */
		LOG(ERROR, "message-broken-off", F_ERRNO(errno));
		(void)conn_flush(&s->conn);
		s->conn.dead = true;
	} else if (!t.wire.limited && !s->conn.dead) {
		maildrop_correct(&s->drop, i, t.wire.octets);
		maildrop_retrieved(&s->drop, i);
		s->retrieved++;
	}
	s->octets += t.wire.octets;
	close(t.fd);
}

static void
on_retr(struct session *s, const struct pop3_command *c)
{
	uint32_t i;

	if (find_message(s, c, &i))
		transfer(s, i, wire_begin());
}

static void
on_top(struct session *s, const struct pop3_command *c)
{
	uint32_t i;

	if (find_message(s, c, &i))
		transfer(s, i, wire_begin_top(c->lines));
}

/* ---- the rest ---- */

static void
on_dele(struct session *s, const struct pop3_command *c)
{
	uint32_t i;

	if (!find_message(s, c, &i))
		return;
	maildrop_delete(&s->drop, i);
	put_ok(s);
}

static void
on_rset(struct session *s, const struct pop3_command *c)
{
	(void)c;
	maildrop_reset(&s->drop);
	put_ok(s);
}

static void
on_noop(struct session *s, const struct pop3_command *c)
{
	(void)c;
	put_ok(s);
}

static void
on_capa(struct session *s, const struct pop3_command *c)
{
	(void)c;
	conn_put(&s->conn, str_of(capa_reply));
}

static void
on_login(struct session *s, const struct pop3_command *c)
{
	(void)c;
	put_error(s, "you are logged in already");
}

static void
on_quit(struct session *s, const struct pop3_command *c)
{
	(void)c;
	struct maildrop_result r = maildrop_update(&s->drop);
	s->deleted = r.deleted;
	s->moved = r.moved;
	s->failed = r.failed;
	/* a client that comes back at once must not find it locked */
	maildrop_unlock(&s->drop);
	if (r.failed > 0) {
		LOG(ERROR, "delete-failed", F_NUM("messages", r.failed),
		    F_ERRNO(r.error));
		put_error(s, "[SYS/TEMP] some deleted messages not removed");
	} else {
		conn_put(&s->conn, STR("+OK bye\r\n"));
	}
	(void)conn_flush(&s->conn);
}

static void (*const handlers[])(
    struct session *, const struct pop3_command *) = {
	[POP3_CAPA] = on_capa,
	[POP3_DELE] = on_dele,
	[POP3_LIST] = on_list,
	[POP3_NOOP] = on_noop,
	[POP3_PASS] = on_login,
	[POP3_QUIT] = on_quit,
	[POP3_RETR] = on_retr,
	[POP3_RSET] = on_rset,
	[POP3_STAT] = on_stat,
	[POP3_TOP] = on_top,
	[POP3_UIDL] = on_uidl,
	[POP3_USER] = on_login,
};

/* True when it was QUIT. */
static bool
one_command(struct session *s, struct str line)
{
	struct pop3_command c;

	switch (pop3_command_parse(line, &c)) {
	case POP3_OK:
		handlers[c.verb](s, &c);
		return c.verb == POP3_QUIT;
	case POP3_UNKNOWN:
		put_error(s, "no such command");
		break;
	case POP3_SYNTAX:
		put_error(s, "wrong arguments");
		break;
	}
	s->errors++;
	return false;
}

enum session_end
session_run(struct session *s)
{
	while (s->errors < ERRORS_MAX) {
		struct str line;
		switch (conn_line(&s->conn, &line)) {
		case CONN_LINE:
			if (one_command(s, line))
				return SESSION_QUIT;
			break;
		case CONN_TOO_LONG:
			put_error(s, "line too long");
			s->errors++;
			break;
		case CONN_BARE_LF:
			put_error(s, "a line must end with CRLF");
			s->errors++;
			break;
		case CONN_END:
			return SESSION_LOST;
		case CONN_TIMEOUT:
			/* RFC 1939 section 3: closed without UPDATE */
			return SESSION_TIMEOUT;
		}
	}
	put_error(s, "too many mistakes");
	(void)conn_flush(&s->conn);
	return SESSION_ERRORS;
}
