/* SPDX-License-Identifier: ISC
 * announce: contract in announce.h.
 */
#include "queue/announce.h"

#include "common/facts.h"
#include "common/link.h"
#include "queue/stream.h"

static void
take_session(struct link *l, struct packet *p, int *fds, size_t nfds)
{
	struct facts facts;
	if (!facts_take(p, &facts) || p->type != 'S' || nfds != 1) {
		link_complain(l, p->type);
		return;
	}
	/* false: its peer sees the end */
	(void)stream_serve(fds[0], facts.sid, facts.relay);
	fds[0] = -1;
}

static struct link listener = LINK_DOWN("listen", take_session, NULL, NULL);

void
announce_link(int fd)
{
	(void)link_open(&listener, fd);
}
