/* SPDX-License-Identifier: ISC
 * conn: contract in conn.h.
 */
#include "pop3d/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/io.h"

void
conn_init(struct conn *c, int in_fd, int out_fd, int timeout_ms, char *input,
    size_t input_cap, char *output, size_t output_cap)
{
	*c = (struct conn){ .in_fd = in_fd,
		.out_fd = out_fd,
		.timeout_ms = timeout_ms,
		.input = input,
		.input_cap = input_cap,
		.out = { .p = output, .cap = output_cap } };
}

/* Sets a timeout on the socket unless it has one.  In ms; -1: no socket. */
static int
socket_timeout(int fd, int option, int timeout_ms)
{
	struct timeval t = { 0 };
	socklen_t n = sizeof(t);

	if (getsockopt(fd, SOL_SOCKET, option, &t, &n) != 0)
		return -1;
	if (t.tv_sec > 0 || t.tv_usec > 0)
		return t.tv_sec > 86400
			   ? 86400000
			   : (int)(t.tv_sec * 1000 + t.tv_usec / 1000);
	t = (struct timeval){ .tv_sec = timeout_ms / 1000,
		.tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000 };
	if (setsockopt(fd, SOL_SOCKET, option, &t, sizeof(t)) != 0)
		return -1;
	return timeout_ms;
}

void
conn_tune(struct conn *c)
{
	int on = 1;
	int in = socket_timeout(c->in_fd, SO_RCVTIMEO, c->timeout_ms);
	int out = socket_timeout(c->out_fd, SO_SNDTIMEO, c->timeout_ms);

	if (in < 0 || out < 0)
		return;
	/* fails on a socket that is not TCP: no matter */
	(void)setsockopt(c->out_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->timeout_ms = in;
	c->blocks =
	    io_nonblock(c->in_fd, false) == 0 &&
	    (c->out_fd == c->in_fd || io_nonblock(c->out_fd, false) == 0);
}

bool
conn_preload(struct conn *c, struct str already_read)
{
	if (already_read.n > c->input_cap - c->end)
		return false;
	if (already_read.n > 0)
		memcpy(c->input + c->end, already_read.p, already_read.n);
	c->end += already_read.n;
	return true;
}

/* Waits for the client when the descriptors do not.  1, 0 on timeout, -1. */
static int
await(const struct conn *c, bool for_write)
{
	if (c->blocks)
		return 1;
	return io_wait(
	    for_write ? c->out_fd : c->in_fd, for_write, c->timeout_ms);
}

int
conn_flush(struct conn *c)
{
	struct str left = buf_str(&c->out);

	while (left.n > 0 && !c->dead) {
		ssize_t n = write(c->out_fd, left.p, left.n);
		if (n > 0) {
			left = str_skip(left, (size_t)n);
		} else if (n < 0 && errno == EAGAIN && !c->blocks) {
			c->dead = await(c, true) <= 0;
		} else if (n == 0 || errno != EINTR) {
			c->dead = true;
		}
	}
	buf_reset(&c->out);
	return c->dead ? -1 : 0;
}

struct buf *
conn_room(struct conn *c, size_t n)
{
	if (buf_room(&c->out) < n)
		(void)conn_flush(c);
	return &c->out;
}

void
conn_put(struct conn *c, struct str s)
{
	while (s.n > 0) {
		struct buf *out = conn_room(c, 1);
		struct str piece = str_head(s, buf_room(out));
		buf_put(out, piece);
		s = str_skip(s, piece.n);
	}
}

struct str
conn_pending(const struct conn *c)
{
	return (struct str){ .p = c->input + c->start, .n = c->end - c->start };
}

/* Reads what is there.  CONN_LINE means: something came. */
static enum conn_event
fill(struct conn *c)
{
	if (conn_flush(c) != 0)
		return CONN_END;
	if (c->start > 0) {
		memmove(c->input, c->input + c->start, c->end - c->start);
		c->end -= c->start;
		c->start = 0;
	}
	for (;;) {
		int ready = await(c, false);
		if (ready <= 0)
			return ready == 0 ? CONN_TIMEOUT : CONN_END;
		ssize_t n =
		    read(c->in_fd, c->input + c->end, c->input_cap - c->end);
		if (n > 0) {
			c->end += (size_t)n;
			return CONN_LINE;
		}
		if (n == 0 || (errno != EINTR && errno != EAGAIN))
			return CONN_END;
		if (errno == EAGAIN && c->blocks)
			return CONN_TIMEOUT;
	}
}

enum conn_event
conn_line(struct conn *c, struct str *line)
{
	int64_t latest = 0;

	for (;;) {
		size_t used;
		enum pop3_line_status s =
		    pop3_line_next(&c->line, conn_pending(c), line, &used);
		c->start += used;
		if (c->dead)
			return CONN_END;
		if (s == POP3_LINE_OK)
			return CONN_LINE;
		if (s == POP3_LINE_TOO_LONG)
			return CONN_TOO_LONG;
		if (s == POP3_LINE_BARE_LF)
			return CONN_BARE_LF;
		int64_t now = clock_mono_ms();
		if (latest == 0)
			latest = now + c->timeout_ms;
		else if (now >= latest)
			return CONN_TIMEOUT;
		enum conn_event e = fill(c);
		if (e != CONN_LINE)
			return e;
	}
}
