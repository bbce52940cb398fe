/* SPDX-License-Identifier: ISC
 * spawn: contract in spawn.h.  Runs in become as root until privs_drop.
 */
#include "send/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/buf.h"
#include "common/exitcode.h"
#include "common/role.h"
#include "send/enter.h"

struct failure {
	unsigned char step;
	int error;
};

enum { FIRST_SPARE = 32 }; /* descriptors are moved here, out of the way */

/* ---- in the child ---- */

static _Noreturn void
give_up(int status_fd, enum enter_step step)
{
	struct failure f = { .step = (unsigned char)step, .error = errno };
	/* shorter than PIPE_BUF: whole or not at all */
	if (write(status_fd, &f, sizeof(f)) < 0)
		_exit(EXITCODE_PERMANENT);
	_exit(EXITCODE_TEMPORARY);
}

static bool
place_fds(const int *wanted)
{
	int spare[SPAWN_FDS];
	for (int i = 0; i < SPAWN_FDS; i++) {
		spare[i] = wanted[i];
		if (wanted[i] >= 0)
			spare[i] =
			    fcntl(wanted[i], F_DUPFD_CLOEXEC, FIRST_SPARE);
		if (wanted[i] >= 0 && spare[i] < 0)
			return false;
	}
	for (int i = 0; i < SPAWN_FDS; i++) {
		if (spare[i] >= 0 && dup2(spare[i], i) < 0)
			return false;
		if (wanted[i] == SPAWN_NONE)
			close(i);
	}
	/* all else is close-on-exec already; this makes it sure */
	return close_range(SPAWN_FDS, ~0U, CLOSE_RANGE_CLOEXEC) == 0;
}

static char **
environment(const struct account *a)
{
	static char text[ACCOUNT_HOME + 128 + 1024];
	static char *vars[8];
	struct buf b = BUF_ON(text);
	size_t n = 0;
	const char *pairs[][2] = {
		{ "USER=", a->name },
		{ "LOGNAME=", a->name },
		{ "HOME=", a->home[0] != '\0' ? a->home : "/" },
		{ "PATH=", "/usr/local/bin:/usr/bin:/bin" },
#if defined(__SANITIZE_ADDRESS__) || defined(POSTERN_SANITIZED)
		{ "ASAN_OPTIONS=", getenv("ASAN_OPTIONS") },
		{ "UBSAN_OPTIONS=", getenv("UBSAN_OPTIONS") },
#endif
	};
	for (size_t i = 0; i < N_ELEMENTS(pairs); i++) {
		if (pairs[i][1] == NULL)
			continue;
		vars[n++] = b.p + b.n;
		buf_puts(&b, pairs[i][0]);
		buf_puts(&b, pairs[i][1]);
		buf_putc(&b, '\0');
	}
	return b.full ? NULL : vars;
}

static _Noreturn void
run(const struct spawn *s, const struct account *a, int status_fd)
{
	enum enter_step failed = ENTER_USER;
	int fds[SPAWN_FDS];
	role_undo_signals();
	memcpy(fds, s->fds, sizeof(fds));
	if (fds[SPAWN_BASE] == SPAWN_OWN)
		fds[SPAWN_BASE] = enter_account(
		    a->uid, a->gid, a->home, s->mail_dirfd, &failed);
	if (fds[SPAWN_BASE] < 0)
		give_up(status_fd, failed);
	int program = fcntl(s->program_fd, F_DUPFD_CLOEXEC, FIRST_SPARE);
	int status = fcntl(status_fd, F_DUPFD_CLOEXEC, FIRST_SPARE);
	char **env = environment(a);
	if (program < 0 || status < 0 || env == NULL || chdir("/") < 0 ||
	    !place_fds(fds))
		give_up(status < 0 ? status_fd : status, ENTER_FDS);
	execveat(program, "", s->argv, env, AT_EMPTY_PATH);
	give_up(status, ENTER_EXEC);
}

/* ---- in become ---- */

pid_t
spawn(const struct spawn *s, const struct account *a, int *status_fd)
{
	int status[2];
	if (pipe2(status, O_CLOEXEC | O_NONBLOCK) < 0)
		return -1;
	pid_t pid = fork();
	if (pid == 0)
		run(s, a, status[1]);
	int saved = errno;
	close(status[1]);
	if (pid < 0)
		close(status[0]);
	errno = saved;
	*status_fd = pid < 0 ? -1 : status[0];
	return pid;
}

int
spawn_failure(int status_fd, enum verdict *verdict, const char **text)
{
	struct failure f;
	ssize_t n = read(status_fd, &f, sizeof(f));
	if (n < 0)
		return -1;
	if (n == 0)
		return 0;
	/* all of these may heal: a disk comes back, a limit is lifted */
	*verdict = VERDICT_DEFER;
	*text = n == sizeof(f) ? enter_explain(f.step, f.error)
			       : "4.3.0 no delivery program";
	return 1;
}
