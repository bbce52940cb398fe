/* SPDX-License-Identifier: ISC
 * programs: contract in programs.h.
 */
#include "send/programs.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include "common/die.h"
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

static pid_t
start(struct child *c, int program_fd, char *const *argv, int fd,
    const int *session, int *status_fd)
{
	struct spawn s = { .program_fd = program_fd,
		.argv = argv,
		.fds = { SPAWN_KEEP, SPAWN_KEEP, SPAWN_KEEP, fd, -1,
		    SPAWN_NONE },
		.mail_dirfd = ROLE_FD_DIR };
	if (session != NULL) {
		s.fds[0] = session[0];
		s.fds[1] = session[1];
		s.fds[5] = session[2];
	}
	return spawn(&s, &c->account, status_fd);
}

pid_t
programs_local(struct child *c, int fd, int *status_fd)
{
	static char as_user[] = "user", as_owner[] = "virtual";
	char *user_argv[] = { local_name, as_user, c->account.name,
		c->account.home, NULL };
	char *owner_argv[] = { local_name, as_owner, NULL };
	return start(c, local_fd, c->is_owner ? owner_argv : user_argv, fd,
	    NULL, status_fd);
}

pid_t
programs_runner(struct child *c, int fd, int *status_fd)
{
	static char programs[] = "programs";
	char *argv[] = { local_name, programs, c->account.name, c->account.home,
		NULL };
	return start(c, local_fd, argv, fd, NULL, status_fd);
}

pid_t
programs_pop3d(struct child *c, int fd, const int *session, int *status_fd)
{
	char *argv[] = { pop3d_name, NULL };
	return start(c, pop3d_fd, argv, fd, session, status_fd);
}
