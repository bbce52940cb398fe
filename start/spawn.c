/* SPDX-License-Identifier: ISC
 * spawn: one role's process, from fork to exec.  Part of postern-start; the
 * child is root (or the one user) until privs_drop.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/exitcode.h"
#include "common/io.h"
#include "common/log.h"
#include "common/privs.h"
#include "common/role.h"
#include "start/family.h"

/* The child's descriptor `to` becomes a copy of `from`, kept over exec. */
static void
give(int from, int to)
{
	if (dup2(from, to) < 0) {
		LOG(ERROR, "spawn", F_TEXT("call", "dup2"), F_ERRNO(errno));
		_exit(EXITCODE_TEMPORARY);
	}
}

/* As give, with an open file of its own, so that no reading position of the
 * directory is shared. */
static void
give_dir(int from, int to)
{
	int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		LOG(ERROR, "spawn", F_TEXT("call", "openat"), F_ERRNO(errno));
		_exit(EXITCODE_TEMPORARY);
	}
	give(fd, to);
}

static const char *
sanitizer_options(void)
{
#if defined(__SANITIZE_ADDRESS__)
	return "ASAN_OPTIONS=detect_leaks=0";
#else
	return NULL;
#endif
}

static void
program_exec(const struct family *f, const struct child *c)
{
	static char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	char text[600];
	struct buf root = BUF_ON(text);
	buf_puts(&root, "POSTERN_ROOT=");
	buf_puts(&root, f->root == NULL ? "" : f->root);
	const char *env[] = { path, buf_cstr(&root), sanitizer_options(),
		NULL };
	const char *args[] = { c->plan->program, c->plan->argument, NULL };

	/* execveat takes them as char *const[], and changes nothing */
	execveat(c->program_fd, "", (char *const *)(uintptr_t)args,
	    (char *const *)(uintptr_t)env, AT_EMPTY_PATH);
}

static _Noreturn void
child_run(const struct family *f, const struct child *c, int channel)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid(); /* a terminal's ^C is for start alone */
	give(channel, ROLE_FD_START);
	give_dir(f->control_dirfd, ROLE_FD_CONTROL);
	if (c->dir_fd >= 0)
		give_dir(c->dir_fd, ROLE_FD_DIR);
	for (size_t i = 0; i < c->socket_count; i++)
		give(c->sockets[i], ROLE_FD_LISTEN + (int)i);
	if (!f->one_user && privs_drop(c->uid, c->gid) < 0) {
		LOG(ERROR, "spawn", F_TEXT("program", c->plan->program),
		    F_TEXT("call", "privs_drop"), F_ERRNO(errno));
		_exit(EXITCODE_TEMPORARY);
	}
	program_exec(f, c);
	LOG(ERROR, "spawn", F_TEXT("program", c->plan->program),
	    F_TEXT("call", "execveat"), F_ERRNO(errno));
	_exit(EXITCODE_TEMPORARY);
}

int
spawn(const struct family *f, struct child *c)
{
	int ends[2];

	if (io_pair(SOCK_SEQPACKET | SOCK_NONBLOCK, ends) < 0)
		return -1;
	pid_t pid = fork();
	if (pid == 0)
		child_run(f, c, ends[1]);
	int saved = errno;
	io_close(&ends[1]);
	if (pid < 0) {
		io_close(&ends[0]);
		errno = saved;
		return -1;
	}
	c->pid = pid;
	c->channel.fd = ends[0];
	return 0;
}
