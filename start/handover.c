/* SPDX-License-Identifier: ISC
 * handover: contract in handover.h.  Part of postern-listen (posternl).
 */
#include "start/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"
#include "common/packet.h"
#include "start/admit.h"

enum { PACKET_ROOM = 512 };

static bool smtp;
static char local_text[64];

void
handover_init(bool is_smtp)
{
	smtp = is_smtp;
}

/* Microseconds since 1970, made unique, as 11 digits that sort by time. */
static void
sid_make(struct handover *h)
{
	static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";
	static uint64_t last;
	uint64_t now = (uint64_t)clock_now_us();
	size_t n = 12;

	last = now > last ? now : last + 1;
	uint64_t v = last;
	for (size_t i = n; i-- > 1; v >>= 5)
		h->sid_text[i] = digits[v & 31];
	h->sid_text[0] = smtp ? 's' : 'p';
	h->sid = (struct str){ .p = h->sid_text, .n = n };
}

static void
close_pair(int fds[2])
{
	io_close(&fds[0]);
	io_close(&fds[1]);
}

static void
sockets_close(struct handover *h)
{
	close_pair(h->stream);
	close_pair(h->ask);
	close_pair(h->life);
}

static bool
sockets_make(struct handover *h)
{
	h->stream[0] = h->stream[1] = h->ask[0] = h->ask[1] = -1;
	h->life[0] = h->life[1] = -1;
	return pipe2(h->life, O_CLOEXEC) == 0 &&
	       (!smtp || io_pair(SOCK_STREAM, h->stream) == 0) &&
	       io_pair(SOCK_SEQPACKET, h->ask) == 0;
}

static struct str
ip_text(char *room, size_t size, const struct ip *ip)
{
	struct buf b = { .p = room, .cap = size };

	ip_put(&b, ip);
	return buf_str(&b);
}

enum handover_status
handover_begin(struct handover *h)
{
	sid_make(h);
	h->peer = ip_text(h->peer_text, sizeof(h->peer_text), &h->peer_ip);
	h->at = smtp ? LINK_STREAM : LINK_USERD;
	if (sockets_make(h) && admit_begun(&h->peer_ip, h->life[0])) {
		h->life[0] = -1; /* admit's now */
		return HANDOVER_DONE;
	}
	int error = errno;
	admit_give_back(&h->peer_ip);
	sockets_close(h);
	errno = error;
	return HANDOVER_FAILED;
}

/* The packet for the link at which h stands, and its descriptors. */
static size_t
packet_make(const struct handover *h, struct buf *b, int *fds)
{
	size_t n = 0;

	packet_begin(b, 'S');
	packet_str(b, h->sid);
	packet_str(b, h->peer);
	switch (h->at) {
	case LINK_STREAM:
		packet_u8(b, h->relay);
		fds[n++] = h->stream[1];
		break;
	case LINK_USERD:
		packet_str(b, smtp ? STR("smtp") : STR("pop3"));
		fds[n++] = h->ask[1];
		break;
	case LINK_TEMPLATE:
		packet_u32(b, h->peer_port);
		packet_str(
		    b, ip_text(local_text, sizeof(local_text), &h->local_ip));
		packet_u32(b, h->local_port);
		packet_u8(b, h->relay);
		fds[n++] = h->connection;
		if (smtp)
			fds[n++] = h->stream[0];
		fds[n++] = h->ask[0];
		fds[n++] = h->life[1];
		break;
	case LINKS:
		break;
	}
	return n;
}

enum handover_status
handover_send(struct handover *h, const int links[LINKS])
{
	char room[PACKET_ROOM];
	struct buf b = BUF_ON(room);
	int fds[PACKET_FDS];

	for (; h->at < LINKS; h->at++) {
		if (links[h->at] < 0)
			return HANDOVER_WAITS;
		size_t n = packet_make(h, &b, fds);
		if (packet_send(links[h->at], buf_str(&b), fds, n) == 0)
			continue;
		if (errno == EAGAIN || errno == EINTR)
			return HANDOVER_WAITS;
		if (errno == EPIPE || errno == ECONNRESET)
			return HANDOVER_GONE;
		int error = errno;
		sockets_close(h); /* admit sees the end of its life */
		errno = error;
		return HANDOVER_FAILED;
	}
	sockets_close(h);
	io_close(&h->connection);
	return HANDOVER_DONE;
}
