/* SPDX-License-Identifier: ISC
 * announce: contract in announce.h.
 */
#include "common/announce.h"

#include "common/link.h"

static void (*serve_session)(int fd, const struct facts *);

static void
take_session(struct link *l, struct packet *p, int *fds, size_t nfds)
{
	struct facts facts;

	if (!facts_take(p, &facts) || p->type != 'S' || nfds != 1) {
		link_complain(l, p->type);
		return;
	}
	serve_session(fds[0], &facts);
	fds[0] = -1;
}

static struct link listener = LINK_DOWN("listen", take_session, NULL, NULL);

void
announce_link(int fd, void (*serve)(int fd, const struct facts *))
{
	serve_session = serve;
	(void)link_open(&listener, fd);
}
