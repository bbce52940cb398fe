/* SPDX-License-Identifier: ISC
 * door: contract in door.h.
 */
#include "common/door.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include "common/die.h"
#include "common/io.h"
#include "common/log.h"

enum { REST_MS = 1000 };

void
door_open(struct watch *w, const char *name)
{
	if (loop_add(w, EPOLLIN) < 0)
		die(EXITCODE_TEMPORARY, name, errno);
}

int
door_accept(struct watch *w, uid_t *uid)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);
	int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0) {
		if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR)
			return -1;
		LOG(ERROR, "accept", F_ERRNO(errno));
		loop_rest(w, REST_MS);
		return -1;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0) {
		LOG(ERROR, "peer-unknown", F_ERRNO(errno));
		io_close(&fd);
		return -1;
	}
	*uid = peer.uid;
	return fd;
}
