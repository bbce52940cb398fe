/* SPDX-License-Identifier: ISC
 * login: contract in login.h.
 */
#include "pop3d/login.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include "common/log.h"
#include "common/verdict.h"
#include "pop3d/capa.h"

enum {
	COMMANDS_MAX = 60,	  /* a login takes two or three */
	FAILURES_MAX = 3,	  /* then the client has to connect again */
	DELAY_MS = 1000,	  /* after the first failure; then twice that */
	ANSWER_MS = 120000,	  /* a login may wait for its turn at hashing */
	USUAL_TIMEOUT_MS = 600000 /* pop3d's own */
};

static void
put_error(struct login *l, const char *text)
{
	conn_put(&l->conn, STR("-ERR "));
	conn_put(&l->conn, str_of(text));
	conn_put(&l->conn, STR("\r\n"));
}

/* A setting that differs from pop3d's own goes along with the socket. */
static void
lend_timeout(const struct conn *c)
{
	struct timeval t = { .tv_sec = c->timeout_ms / 1000 };

	if (c->timeout_ms == USUAL_TIMEOUT_MS)
		return;
	/* no socket: then pop3d has its own */
	(void)setsockopt(c->in_fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t));
	(void)setsockopt(c->out_fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t));
}

/* Asks userd to log in and hand over.  The verdict, or 0 when userd does not
 * answer as it should. */
static char
ask(struct login *l, struct str password)
{
	const int fds[] = { l->conn.in_fd, l->conn.out_fd, l->life_fd };
	struct buf b = { .p = l->packet, .cap = PACKET_MAX };
	struct str answer;

	packet_begin(&b, 'L');
	packet_str(&b, (struct str){ .p = l->user, .n = l->user_n });
	packet_str(&b, password);
	packet_str(&b, conn_pending(&l->conn));
	if (b.full)
		return 0;
	lend_timeout(&l->conn);
	int r = packet_ask(l->ask_fd, buf_str(&b), fds, N_ELEMENTS(fds),
	    l->packet, PACKET_MAX, ANSWER_MS, &answer);
	int saved = errno;
	char verdict = 0;
	if (r > 0)
		verdict = answer.p[0];
	else
		LOG(ERROR, "userd", F_STR("sid", l->sid),
		    F_TEXT("error", r == 0 ? "gone" : strerror(saved)));
	explicit_bzero(l->packet, b.n); /* the password */
	return verdict;
}

/* A growing pause makes guessing slow; a client that is gone ends it. */
static void
pause_after_failure(struct login *l)
{
	struct pollfd p = { .fd = l->conn.in_fd };

	/* nothing to do about an error here: the next read meets it too */
	(void)poll(&p, 1, DELAY_MS << (l->failures - 1));
}

static enum login_end
on_pass(struct login *l, struct str password)
{
	if (l->user_n == 0) {
		put_error(l, "USER first");
		return LOGIN_GONE;
	}
	/* what was answered so far must not come after pop3d's reply */
	if (conn_flush(&l->conn) != 0)
		return LOGIN_GONE;
	char verdict = ask(l, password);
	l->user_n = 0;
	switch (verdict) {
	case VERDICT_OK:
		return LOGIN_HANDED;
	case VERDICT_FAIL:
		l->failures++;
		pause_after_failure(l);
		/* the same for an unknown user and for a wrong password */
		put_error(l, "[AUTH] user name or password is wrong");
		return LOGIN_GONE;
	case VERDICT_DEFER:
		put_error(l, "[SYS/TEMP] no login now, try again later");
		return LOGIN_GONE;
	default:
		put_error(l, "[SYS/TEMP] no login now, try again later");
		(void)conn_flush(&l->conn);
		return LOGIN_NO_USERD;
	}
}

static void
on_user(struct login *l, struct str name)
{
	if (name.n > sizeof(l->user)) {
		put_error(l, "that name is too long");
		return;
	}
	memcpy(l->user, name.p, name.n);
	l->user_n = name.n;
	conn_put(&l->conn, STR("+OK\r\n"));
}

enum step { GO_ON, STOP };

/* STOP: *end is set. */
static enum step
one_command(struct login *l, const struct pop3_command *c, enum login_end *end)
{
	switch (c->verb) {
	case POP3_USER:
		on_user(l, c->text);
		return GO_ON;
	case POP3_PASS:
		*end = on_pass(l, c->text);
		return *end == LOGIN_GONE ? GO_ON : STOP;
	case POP3_CAPA:
		conn_put(&l->conn, str_of(capa_reply));
		return GO_ON;
	case POP3_QUIT:
		conn_put(&l->conn, STR("+OK bye\r\n"));
		*end = LOGIN_GONE;
		return STOP;
	case POP3_DELE:
	case POP3_LIST:
	case POP3_NOOP:
	case POP3_RETR:
	case POP3_RSET:
	case POP3_STAT:
	case POP3_TOP:
	case POP3_UIDL:
		put_error(l, "log in first");
		return GO_ON;
	}
	return GO_ON;
}

static enum step
one_line(struct login *l, struct str line, enum login_end *end)
{
	struct pop3_command c;

	switch (pop3_command_parse(line, &c)) {
	case POP3_OK:
		return one_command(l, &c, end);
	case POP3_UNKNOWN:
		put_error(l, "no such command");
		break;
	case POP3_SYNTAX:
		put_error(l, "wrong arguments");
		break;
	}
	return GO_ON;
}

static enum login_end
serve(struct login *l)
{
	while (l->commands++ < COMMANDS_MAX && l->failures < FAILURES_MAX) {
		enum login_end end;
		struct str line;
		switch (conn_line(&l->conn, &line)) {
		case CONN_LINE:
			if (one_line(l, line, &end) == STOP)
				return end;
			break;
		case CONN_TOO_LONG:
			put_error(l, "line too long");
			break;
		case CONN_BARE_LF:
			put_error(l, "a line must end with CRLF");
			break;
		case CONN_END:
			return LOGIN_GONE;
		case CONN_TIMEOUT:
			return LOGIN_TIMEOUT;
		}
	}
	put_error(l, "too many mistakes");
	return LOGIN_REFUSED;
}

enum login_end
login_run(struct login *l)
{
	conn_put(&l->conn, STR("+OK Postern POP3 ready\r\n"));
	enum login_end end = serve(l);

	/* whoever has the connection now writes the replies */
	if (end != LOGIN_HANDED)
		(void)conn_flush(&l->conn);
	return end;
}
