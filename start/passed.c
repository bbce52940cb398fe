/* SPDX-License-Identifier: ISC
 * passed: contract in passed.h.
 */
#include "start/passed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/die.h"
#include "common/io.h"
#include "common/log.h"
#include "common/role.h"

enum { FIRST = 3 }; /* SD_LISTEN_FDS_START */

static struct {
	int fd; /* -1: given away */
	struct str name;
} sockets[PASSED_MAX];
static size_t count;

static _Noreturn void
refuse(struct str name, const char *what)
{
	LOG(ERROR, "passed-socket", F_STR("name", name),
	    F_TEXT("fix", "FileDescriptorName=smtp or pop3, ListenStream=PORT, "
			  "Accept=no"));
	die(EXITCODE_PERMANENT, what, 0);
}

static bool
is_listening_tcp(int fd)
{
	struct sockaddr_storage sa = { .ss_family = AF_UNSPEC };
	socklen_t n = sizeof(sa);
	int type = 0, listens = 0;
	socklen_t size = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
	       type == SOCK_STREAM &&
	       getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) ==
		   0 &&
	       listens != 0 &&
	       getsockname(fd, (struct sockaddr *)&sa, &n) == 0 &&
	       (sa.ss_family == AF_INET || sa.ss_family == AF_INET6);
}

static void
take(int fd, struct str name)
{
	if (!str_eq(name, STR("smtp")) && !str_eq(name, STR("pop3")))
		refuse(name, "a passed socket is neither smtp nor pop3");
	if (!is_listening_tcp(fd))
		refuse(name, "a passed descriptor is no listening TCP socket");
	int moved = fcntl(fd, F_DUPFD_CLOEXEC, ROLE_FD_MAX);
	if (moved < 0 || io_nonblock(moved, true) < 0)
		die(EXITCODE_TEMPORARY, "a passed socket", errno);
	close(fd);
	sockets[count].fd = moved;
	sockets[count++].name = name;
}

void
passed_take(const char *pid, const char *fds, const char *names)
{
	struct str rest = str_of(names), name;
	uint64_t whose, n;

	if (!str_u64(str_of(pid), UINT64_MAX, &whose) ||
	    whose != (uint64_t)getpid() ||
	    !str_u64(str_of(fds), UINT64_MAX, &n) || n == 0)
		return;
	if (n > PASSED_MAX)
		die(EXITCODE_PERMANENT, "more than 8 sockets were passed", 0);
	for (uint64_t i = 0; i < n; i++) {
		(void)str_cut(rest, ':', &name, &rest);
		take(FIRST + (int)i, name);
	}
}

int
passed_next(struct str name)
{
	for (size_t i = 0; i < count; i++) {
		int fd = sockets[i].fd;

		if (fd < 0 || !str_eq(sockets[i].name, name))
			continue;
		sockets[i].fd = -1;
		return fd;
	}
	return -1;
}

bool
passed_any(struct str name)
{
	for (size_t i = 0; i < count; i++)
		if (str_eq(sockets[i].name, name))
			return true;
	return false;
}
