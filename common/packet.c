/* SPDX-License-Identifier: ISC
 * packet: contract in packet.h.
 */
#include "common/packet.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/io.h"

/* ---- writing ---- */

static void
put_big_endian(struct buf *b, uint64_t v, size_t bytes)
{
	char text[8];
	for (size_t i = bytes; i-- > 0; v >>= 8)
		text[i] = (char)(v & 0xff);
	buf_put(b, (struct str){ .p = text, .n = bytes });
}

void
packet_begin(struct buf *b, char type)
{
	buf_reset(b);
	buf_putc(b, type);
}

void
packet_u8(struct buf *b, uint8_t v)
{
	put_big_endian(b, v, 1);
}

void
packet_u32(struct buf *b, uint32_t v)
{
	put_big_endian(b, v, 4);
}

void
packet_u64(struct buf *b, uint64_t v)
{
	put_big_endian(b, v, 8);
}

void
packet_str(struct buf *b, struct str s)
{
	if (s.n > UINT32_MAX) {
		b->full = true;
		return;
	}
	packet_u32(b, (uint32_t)s.n);
	buf_put(b, s);
}

/* ---- reading ---- */

struct packet
packet_open(struct str bytes)
{
	if (bytes.n == 0)
		return (struct packet){ .rest = bytes, .bad = true };
	return (struct packet){
		.type = bytes.p[0], .rest = str_skip(bytes, 1), .bad = false
	};
}

static uint64_t
get_big_endian(struct packet *p, size_t bytes)
{
	if (p->bad || p->rest.n < bytes) {
		p->bad = true;
		return 0;
	}
	uint64_t v = 0;
	for (size_t i = 0; i < bytes; i++)
		v = v << 8 | (unsigned char)p->rest.p[i];
	p->rest = str_skip(p->rest, bytes);
	return v;
}

uint8_t
packet_get_u8(struct packet *p)
{
	return (uint8_t)get_big_endian(p, 1);
}

uint32_t
packet_get_u32(struct packet *p)
{
	return (uint32_t)get_big_endian(p, 4);
}

uint64_t
packet_get_u64(struct packet *p)
{
	return get_big_endian(p, 8);
}

struct str
packet_get_str(struct packet *p, size_t max)
{
	size_t n = packet_get_u32(p);
	if (p->bad || n > p->rest.n || n > max) {
		p->bad = true;
		return (struct str){ .p = "", .n = 0 };
	}
	struct str s = str_head(p->rest, n);
	p->rest = str_skip(p->rest, n);
	return s;
}

bool
packet_end(const struct packet *p)
{
	return !p->bad && p->rest.n == 0;
}

/* ---- sockets ---- */

union control_space {
	struct cmsghdr align;
	char space[CMSG_SPACE(sizeof(int) * PACKET_FDS)];
};

/* The kernel had no memory just now: the peer is well, and a link that was
 * given up for it would never come back, for nobody has died. */
static void
soften(void)
{
	if (errno == ENOMEM || errno == ENOBUFS)
		errno = EAGAIN;
}

/* A peer that closes with packets unread leaves ECONNRESET behind. */
static int
sent(ssize_t n)
{
	if (n < 0)
		soften();
	if (n < 0 && errno == ECONNRESET)
		errno = EPIPE;
	return n < 0 ? -1 : 0;
}

int
packet_send(int fd, struct str bytes, const int *fds, size_t nfds)
{
	if (nfds == 0) {
		ssize_t n =
		    send(fd, bytes.p, bytes.n, MSG_NOSIGNAL | MSG_DONTWAIT);
		return sent(n);
	}
	if (nfds > PACKET_FDS) {
		errno = EINVAL;
		return -1;
	}
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes.p,
		.iov_len = bytes.n }; /* sendmsg only reads */
	union control_space control = { .space = { 0 } };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = CMSG_SPACE(sizeof(int) * nfds) };
	struct cmsghdr *c = &control.align;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int) * nfds);
	memcpy(CMSG_DATA(c), fds, sizeof(int) * nfds);
	ssize_t n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	return sent(n);
}

static size_t
take_fds(struct msghdr *msg, int *fds)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	if (c == NULL || c->cmsg_level != SOL_SOCKET ||
	    c->cmsg_type != SCM_RIGHTS)
		return 0;
	size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	if (n > PACKET_FDS)
		n = PACKET_FDS; /* the kernel never makes more fit */
	memcpy(fds, CMSG_DATA(c), n * sizeof(int));
	return n;
}

int
packet_recv(int fd, char *storage, size_t cap, int flags, struct str *bytes,
    int *fds, size_t *nfds)
{
	struct iovec iov = { .iov_base = storage, .iov_len = cap };
	union control_space control;
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space) };
	*nfds = 0;
	ssize_t n = 0;
	bool reset = false;
	/* ECONNRESET, said once, comes before what the peer said last */
	do {
		reset = reset || (n < 0 && errno == ECONNRESET);
		n = recvmsg(fd, &msg, flags | MSG_CMSG_CLOEXEC);
	} while (n < 0 && (errno == EINTR || (errno == ECONNRESET && !reset)));
	if (n < 0) {
		soften();
		return errno == ECONNRESET ? 0 : -1;
	}
	*nfds = take_fds(&msg, fds);
	if (n == 0) {
		packet_close_fds(fds, *nfds);
		*nfds = 0;
		return 0;
	}
	if ((msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
		packet_close_fds(fds, *nfds);
		*nfds = 0;
		errno = EMSGSIZE;
		return -1;
	}
	*bytes = (struct str){ .p = storage, .n = (size_t)n };
	return 1;
}

void
packet_close_fds(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		io_close(&fds[i]);
}

int
packet_ask(int fd, struct str question, const int *fds, size_t nfds,
    char *storage, size_t cap, int timeout_ms, struct str *answer)
{
	int64_t until = clock_mono_ms() + timeout_ms;
	while (packet_send(fd, question, fds, nfds) < 0) {
		if (errno != EAGAIN)
			return -1;
		int64_t left = until - clock_mono_ms();
		int ready = left <= 0 ? 0 : io_wait(fd, true, (int)left);
		if (ready < 0)
			return -1;
		if (ready == 0) {
			errno = ETIMEDOUT;
			return -1;
		}
	}
	int64_t left = until - clock_mono_ms();
	int ready = io_wait(fd, false, left < 0 ? 0 : (int)left);
	if (ready < 0)
		return -1;
	if (ready == 0) {
		errno = ETIMEDOUT;
		return -1;
	}
	int got[PACKET_FDS];
	size_t got_count;
	int r = packet_recv(
	    fd, storage, cap, MSG_DONTWAIT, answer, got, &got_count);
	packet_close_fds(got, got_count);
	return r;
}
