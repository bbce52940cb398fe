/* SPDX-License-Identifier: ISC
 * programs: contract in programs.h.
 */
#include "send/programs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "common/die.h"
#include "common/io.h"
#include "common/layout.h"
#include "common/log.h"
#include "common/role.h"
#include "send/spawn.h"

static int local_fd = -1, pop3d_fd = -1;
static char local_name[] = "postern-local", pop3d_name[] = "postern-pop3d";

static int
open_program(const char *name)
{
	char text[4096];
	struct buf path = BUF_ON(text);
	int fd = open(layout_program(name, &path), O_PATH | O_CLOEXEC);
	if (fd < 0)
		LOG(ERROR, "program-missing", F_TEXT("program", name),
		    F_ERRNO(errno));
	return fd;
}

void
programs_open(void)
{
	local_fd = open_program(local_name);
	if (local_fd < 0)
		die(EXITCODE_PERMANENT, local_name, errno);
	pop3d_fd = open_program(pop3d_name);
}

bool
programs_have_pop3d(void)
{
	return pop3d_fd >= 0;
}

/* Descriptors of a program whose 3 is fd. */
#define PROGRAM_FDS(fd, base)                                                  \
	{                                                                      \
		SPAWN_KEEP, SPAWN_KEEP, SPAWN_KEEP, (fd), (base), SPAWN_NONE   \
	}

pid_t
programs_template(int fd)
{
	static char role[] = "template";
	char *argv[] = { local_name, role, NULL };
	const struct spawn s = { .program_fd = local_fd,
		.argv = argv,
		.fds = PROGRAM_FDS(fd, ROLE_FD_DIR) };
	const struct account self = { .name = "root", .home = "" };
	int status_fd;
	pid_t pid = spawn(&s, &self, &status_fd);
	io_close(&status_fd);
	return pid;
}

pid_t
programs_runner(struct child *c, int fd, int *status_fd)
{
	static char programs[] = "programs";
	char *argv[] = { local_name, programs, c->account.name, c->account.home,
		NULL };
	const struct spawn s = { .program_fd = local_fd,
		.argv = argv,
		.fds = PROGRAM_FDS(fd, SPAWN_OWN),
		.mail_dirfd = ROLE_FD_DIR };
	return spawn(&s, &c->account, status_fd);
}

pid_t
programs_pop3d(struct child *c, int fd, const int *session, int *status_fd)
{
	char *argv[] = { pop3d_name, NULL };
	const struct spawn s = { .program_fd = pop3d_fd,
		.argv = argv,
		.fds = { session[0], session[1], SPAWN_KEEP, fd, SPAWN_OWN,
		    session[2] },
		.mail_dirfd = ROLE_FD_DIR };
	return spawn(&s, &c->account, status_fd);
}
