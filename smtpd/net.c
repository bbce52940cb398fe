/* SPDX-License-Identifier: ISC
 * net: contract in net.h.
 */
#include <errno.h>
#include <limits.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/io.h"
#include "smtpd/net.h"

enum {
	LINGER_MS = 1000,   /* how long net_finish reads on */
	LINGER_READS = 256, /* and how often */
	NET_ERROR = -1
};

void
net_begin(struct net *net, int in, int out, int timeout_ms)
{
	struct timeval tv = { .tv_sec = timeout_ms / 1000,
		.tv_usec = timeout_ms % 1000 * 1000L };

	net->in = in;
	net->out = out;
	net->timeout_ms = timeout_ms;
	net->timed =
	    setsockopt(in, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0;
	net->taken = 0;
	net->input = BUF_ON(net->input_storage);
	net->output = BUF_ON(net->output_storage);
	net_renew(net);
}

void
net_renew(struct net *net)
{
	net->deadline = clock_mono_ms() + net->timeout_ms;
}

void
net_limit(struct net *net, int64_t latest)
{
	if (net->deadline > latest)
		net->deadline = latest;
}

struct str
net_input(const struct net *net)
{
	return str_skip(buf_str(&net->input), net->taken);
}

void
net_take(struct net *net, size_t n)
{
	net->taken += n;
	if (net->taken >= buf_str(&net->input).n) {
		buf_reset(&net->input);
		net->taken = 0;
	}
}

/* Waits until the deadline at the most. */
static enum net_status
wait_for(int fd, bool for_write, int64_t deadline)
{
	int64_t left = deadline - clock_mono_ms();

	if (left <= 0)
		return NET_TIMEOUT;
	int ready =
	    io_wait(fd, for_write, left < INT_MAX ? (int)left : INT_MAX);

	if (ready < 0)
		return NET_END;
	return ready == 0 ? NET_TIMEOUT : NET_OK;
}

/* One write that does not block: bytes, or -1 with errno. */
static ssize_t
write_some(int fd, struct str s)
{
	ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n >= 0 || errno != ENOTSOCK)
		return n;
	/* A pipe that is ready takes PIPE_BUF bytes at once (pipe(7)). */
	int ready = io_wait(fd, true, 0);

	if (ready <= 0) {
		if (ready == 0)
			errno = EAGAIN;
		return NET_ERROR;
	}
	s = str_head(s, PIPE_BUF);
	return write(fd, s.p, s.n);
}

enum net_status
net_flush(struct net *net)
{
	struct str s = buf_str(&net->output);
	int64_t deadline = clock_mono_ms() + net->timeout_ms;
	enum net_status status = NET_OK;

	while (s.n > 0 && status == NET_OK) {
		ssize_t n = write_some(net->out, s);

		if (n >= 0)
			s = str_skip(s, (size_t)n);
		else if (errno == EAGAIN)
			status = wait_for(net->out, true, deadline);
		else if (errno != EINTR)
			status = NET_END;
	}
	buf_reset(&net->output);
	return status;
}

/* One read; bytes, 0 at the end, or -1 with errno. */
static ssize_t
read_some(struct net *net)
{
	ssize_t n;

	do {
		n = read(net->in, buf_tail(&net->input), buf_room(&net->input));
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		buf_grew(&net->input, (size_t)n);
	return n;
}

enum net_status
net_fill(struct net *net)
{
	enum net_status status = net_flush(net);

	if (status != NET_OK)
		return status;
	buf_drop(&net->input, net->taken);
	net->taken = 0;
	if (!net->timed)
		status = wait_for(net->in, false, net->deadline);
	else if (clock_mono_ms() >= net->deadline)
		status = NET_TIMEOUT;
	while (status == NET_OK) {
		ssize_t n = read_some(net);

		if (n > 0)
			break;
		if (n == 0 || errno != EAGAIN)
			return NET_END;
		/* time is over, or a descriptor that does not block */
		status = wait_for(net->in, false, net->deadline);
	}
	return status;
}

void
net_finish(struct net *net)
{
	int64_t deadline = clock_mono_ms() + LINGER_MS;

	if (net_flush(net) != NET_OK || shutdown(net->out, SHUT_WR) != 0)
		return; /* gone, or no socket: nothing can be lost */
	for (int i = 0; i < LINGER_READS; i++) {
		buf_reset(&net->input);
		if (wait_for(net->in, false, deadline) != NET_OK ||
		    read_some(net) <= 0)
			break;
	}
}
