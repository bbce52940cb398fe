/* SPDX-License-Identifier: ISC
 * localsocket: contract in localsocket.h.
 */
#include "install/localsocket.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "common/io.h"
#include "common/layout.h"

int
localsocket_connect(const char *name)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct buf path = { .p = sa.sun_path, .cap = sizeof(sa.sun_path) - 1 };
	int run =
	    open(layout_path(LAYOUT_RUN), O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (run < 0)
		return -1;
	/* through the descriptor: the real path may be too long for sun_path */
	buf_puts(&path, "/proc/self/fd/");
	buf_put_u64(&path, (uint64_t)run);
	buf_putc(&path, '/');
	buf_puts(&path, name);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd >= 0 &&
	    connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0) {
		int error = errno;
		io_close(&fd);
		errno = error;
	}
	int error = errno;
	close(run);
	errno = error;
	return fd;
}
