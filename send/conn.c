/* SPDX-License-Identifier: ISC
 * conn: see conn.h.
 */
#include "send/conn.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include "common/clock.h"

enum { WRITE_SECONDS = 180 }; /* RFC 5321 4.5.3.2.5 */

bool
conn_has_unread(const struct conn *c)
{
	return c->at < c->n;
}

enum { LEFT = -2 };

/* Waits for the connection; a new job socket may come meanwhile.  1, 0 when
 * time is over, -1 with errno, LEFT. */
static int
wait_for(struct conn *c, short events, int64_t deadline)
{
	for (;;) {
		struct pollfd fds[3] = { { .fd = c->fd, .events = events },
			{ .fd = *c->other, .events = POLLIN },
			{ .fd = c->leave == NULL ? -1 : *c->leave,
			    .events = POLLRDHUP } };
		int64_t left = deadline - clock_mono_ms();

		if (left <= 0)
			return 0;
		int n = poll(fds, 3, (int)left);
		if (n < 0 && errno != EINTR)
			return -1;
		if (n <= 0)
			continue;
		if (fds[1].revents != 0)
			c->on_other();
		if (fds[0].revents != 0)
			return 1;
		/* closed wholly: qmgr died, and another one will come */
		if ((fds[2].revents & POLLHUP) != 0)
			c->leave = NULL;
		else if (fds[2].revents != 0)
			return LEFT;
	}
}

static int64_t
deadline_in(const struct conn *c, unsigned seconds)
{
	if (seconds > c->timeout_cap)
		seconds = c->timeout_cap;
	return clock_mono_ms() + (int64_t)seconds * 1000;
}

int
conn_write(struct conn *c, struct str s)
{
	while (s.n > 0) {
		ssize_t n = send(c->fd, s.p, s.n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n >= 0) {
			s = str_skip(s, (size_t)n);
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN ||
		    wait_for(c, POLLOUT, deadline_in(c, WRITE_SECONDS)) <= 0)
			return -1;
	}
	return 0;
}

/* More bytes from the server.  NULL, or what became of it. */
static const char *
read_more(struct conn *c, int64_t deadline)
{
	for (;;) {
		int ready = wait_for(c, POLLIN, deadline);

		if (ready == 0)
			return "timed out";
		if (ready == LEFT)
			return "was given up, since other mail waited,";
		if (ready < 0)
			return "could not be waited for";
		ssize_t n =
		    recv(c->fd, c->bytes, sizeof(c->bytes), MSG_DONTWAIT);
		if (n > 0) {
			c->at = 0;
			c->n = (size_t)n;
			return NULL;
		}
		if (n == 0)
			return "closed the connection";
		if (errno != EAGAIN && errno != EINTR)
			return errno == ETIMEDOUT ? "timed out"
						  : "broke the connection";
	}
}

const char *
conn_read(
    struct conn *c, struct client *client, struct reply *r, unsigned seconds)
{
	int64_t deadline = deadline_in(c, seconds);

	reply_begin(r);
	for (;;) {
		struct str in = { c->bytes + c->at, c->n - c->at };
		size_t used;
		enum reply_status status = reply_feed(r, in, &used);

		c->at += used;
		switch (status) {
		case REPLY_BAD:
			return "sent what is no SMTP reply";
		case REPLY_DONE:
			client_line(client, r);
			return NULL;
		case REPLY_LINE:
			client_line(client, r);
			break;
		case REPLY_MORE:
			break;
		}
		if (c->at < c->n)
			continue;
		const char *lost = read_more(c, deadline);
		if (lost != NULL)
			return lost;
	}
}
