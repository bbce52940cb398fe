/* SPDX-License-Identifier: ISC
 * byhand: contract in byhand.h.  Runs as whoever runs the program.
 */
#include "dns/byhand.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/exitcode.h"
#include "common/io.h"
#include "common/layout.h"

static _Noreturn void
child_run(int fd, bool verbose)
{
	char room[600];
	struct buf path = BUF_ON(room);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(fd, STDIN_FILENO) < 0 ||
	    dup2(null, STDOUT_FILENO) < 0 ||
	    (!verbose && dup2(null, STDERR_FILENO) < 0))
		_exit(EXITCODE_TEMPORARY);
	const char *program = layout_program("postern-dnsd", &path);
	(void)execl(program, "postern-dnsd", "--ask", (char *)NULL);
	_exit(EXITCODE_TEMPORARY);
}

int
byhand_start(bool verbose)
{
	int ends[2];

	if (io_pair(SOCK_SEQPACKET, ends) < 0)
		return -1;
	pid_t pid = fork();
	if (pid == 0)
		child_run(ends[1], verbose);
	int error = errno;
	io_close(&ends[1]);
	if (pid < 0)
		io_close(&ends[0]);
	errno = error;
	return ends[0];
}
