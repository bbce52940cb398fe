/* SPDX-License-Identifier: ISC
 * announce: contract in announce.h.
 */
#include "queue/announce.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include "common/io.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/packet.h"
#include "queue/stream.h"

enum { SESSIONS_AT_ONCE = 64 };

static void on_listen(struct watch *, uint32_t);

static struct watch listen_watch = { .fd = -1, .ready = on_listen };

static void
open_session(struct packet *p, int *fds, size_t nfds)
{
	struct str sid = packet_get_str(p, LIMIT_SID);
	(void)packet_get_str(p, LIMIT_PEER);
	uint8_t relay = packet_get_u8(p);
	if (!packet_end(p) || p->type != 'S' || nfds != 1) {
		LOG(ERROR, "bad-packet", F_TEXT("peer", "listen"));
		packet_close_fds(fds, nfds);
		return;
	}
	(void)stream_serve(
	    fds[0], sid, relay == 1); /* else: its peer sees the end */
}

static void
on_listen(struct watch *w, uint32_t events)
{
	char space[256];
	(void)events;
	for (int i = 0; i < SESSIONS_AT_ONCE; i++) {
		struct str bytes;
		int fds[PACKET_FDS];
		size_t nfds;
		int n = packet_recv(w->fd, space, sizeof(space), MSG_DONTWAIT,
		    &bytes, fds, &nfds);
		if (n < 0 && (errno == EAGAIN || errno == EMSGSIZE))
			return;
		if (n <= 0) {
			loop_remove(w);
			io_close(&w->fd);
			return;
		}
		struct packet p = packet_open(bytes);
		open_session(&p, fds, nfds);
	}
}

void
announce_link(int fd)
{
	loop_remove(&listen_watch);
	io_close(&listen_watch.fd);
	listen_watch.fd = fd;
	if (loop_add(&listen_watch, EPOLLIN) < 0) {
		LOG(ERROR, "link", F_ERRNO(errno));
		io_close(&listen_watch.fd);
	}
}
