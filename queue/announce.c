/* SPDX-License-Identifier: ISC
 * announce: contract in announce.h.
 */
#include "queue/announce.h"

#include "common/limits.h"
#include "common/link.h"
#include "queue/stream.h"

static void
take_session(struct link *l, struct packet *p, int *fds, size_t nfds)
{
	struct str sid = packet_get_str(p, LIMIT_SID);
	(void)packet_get_str(p, LIMIT_PEER);
	uint8_t relay = packet_get_u8(p);
	if (!packet_end(p) || p->type != 'S' || nfds != 1) {
		link_complain(l, p->type);
		return;
	}
	(void)stream_serve(
	    fds[0], sid, relay == 1); /* else: its peer sees the end */
	fds[0] = -1;
}

static struct link listener = LINK_DOWN("listen", take_session, NULL, NULL);

void
announce_link(int fd)
{
	(void)link_open(&listener, fd);
}
