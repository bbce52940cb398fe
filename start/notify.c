/* SPDX-License-Identifier: ISC
 * notify: contract in notify.h.  Part of postern-start.
 */
#include "start/notify.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "common/io.h"
#include "common/log.h"

static int manager_fd = -1;

void
notify_init(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct buf b = { .p = sa.sun_path, .cap = sizeof(sa.sun_path) };

	if (path == NULL || path[0] == '\0')
		return;
	buf_puts(&b, path);
	size_t n = offsetof(struct sockaddr_un, sun_path) + b.n;
	if (path[0] == '@')
		sa.sun_path[0] = '\0'; /* an abstract one */
	errno = ENAMETOOLONG;
	if (!b.full)
		manager_fd = socket(
		    AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (manager_fd < 0 || connect(manager_fd, (const struct sockaddr *)&sa,
				  (socklen_t)n) < 0) {
		LOG(ERROR, "notify", F_TEXT("socket", path), F_ERRNO(errno),
		    F_TEXT("do", "unset NOTIFY_SOCKET, or use Type=notify"));
		io_close(&manager_fd); /* once is enough */
	}
}

static size_t
ready_count(const struct family *f)
{
	size_t ready = 0;

	for (size_t i = 0; i < f->count; i++)
		ready += f->roles[i].state == FAMILY_READY;
	return ready;
}

static size_t
wanted_count(const struct family *f)
{
	size_t wanted = 0;

	for (size_t i = 0; i < f->count; i++)
		wanted += !f->roles[i].unwanted || f->roles[i].pid != 0;
	return wanted;
}

void
notify_state(const struct family *f)
{
	static bool told;
	char text[128];
	struct buf b = BUF_ON(text);
	size_t ready = ready_count(f);
	size_t wanted = wanted_count(f);

	if (manager_fd < 0)
		return;
	if (f->stopping) {
		buf_puts(&b, "STOPPING=1\n");
	} else if (ready >= wanted && !told) {
		buf_puts(&b, "READY=1\n");
	}
	buf_puts(&b, "STATUS=");
	buf_put_u64(&b, ready);
	buf_puts(&b, " of ");
	buf_put_u64(&b, wanted);
	buf_puts(&b, f->stopping ? " roles still run" : " roles are ready");
	if (send(manager_fd, b.p, b.n, MSG_NOSIGNAL) >= 0)
		told = told || ready >= wanted;
	else if (errno != EAGAIN)
		LOG(WARN, "notify", F_ERRNO(errno));
}
