/* SPDX-License-Identifier: ISC
 * open: contract in open.h.  Runs as root, or as the one user of the suite.
 */
#include "start/open.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/advice.h"
#include "common/die.h"
#include "common/log.h"
#include "common/privs.h"
#include "common/role.h"
#include "start/errors.h"
#include "start/sockets.h"

enum { FILES_WANTED = 65536 };

/* Dies with the name of what could not be done. */
static _Noreturn void
fail(enum exitcode code, const char *what, const char *name, int error,
    const char *todo)
{
	static char text[700];
	struct buf b = BUF_ON(text);

	buf_puts(&b, what);
	buf_putc(&b, ' ');
	buf_puts(&b, name);
	const char *s = buf_cstr(&b);
	die_do(code, s == NULL ? what : s, error, todo);
}

static _Noreturn void
fail_file(const char *what, const char *name)
{
	int error = errno;

	fail(EXITCODE_PERMANENT, what, name, error, advice_file(error));
}

void
open_reserve(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* 0, 1 and 2 too, should start have been run without them */
	while (fd >= 0 && fd < ROLE_FD_MAX)
		fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		die(EXITCODE_TEMPORARY, "cannot open /dev/null", errno);
	close(fd);
}

void
open_log(const char *path)
{
	int flags = O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
	int fd = path != NULL ? open(path, flags | O_CREAT, 0640)
			      : open("/proc/self/fd/2", flags);

	if (fd < 0 && path != NULL)
		fail(EXITCODE_PERMANENT, "cannot open the log", path, errno,
		    "make its folder, or name another file with --log");
	if (fd >= 0 && (dup2(fd, 1) < 0 || dup2(fd, 2) < 0))
		die(EXITCODE_TEMPORARY, "dup2", errno);
	if (fd >= 0)
		close(fd);
	else if (dup2(2, 1) < 0) /* a socket (journald): as it is */
		die(EXITCODE_TEMPORARY, "dup2", errno);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (null < 0 || dup2(null, 0) < 0)
		die(EXITCODE_TEMPORARY, "/dev/null", errno);
	close(null);
}

void
open_limits(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) < 0)
		die(EXITCODE_TEMPORARY, "RLIMIT_NOFILE", errno);
	struct rlimit more = { .rlim_cur = FILES_WANTED,
		.rlim_max = FILES_WANTED };
	if (r.rlim_max < FILES_WANTED && setrlimit(RLIMIT_NOFILE, &more) == 0)
		return;
	r.rlim_cur = r.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &r) < 0)
		LOG(WARN, "limits", F_ERRNO(errno));
}

static int
dir_open(enum layout_place place)
{
	const char *path = layout_path(place);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		fail_file("cannot open", path);
	return fd;
}

void
open_dirs(struct family *f)
{
	const char *run = layout_path(LAYOUT_RUN);

	f->control_dirfd = dir_open(LAYOUT_CONTROL);
	/* /run is empty after a boot */
	if (mkdir(run, 0755) < 0 && errno != EEXIST)
		fail_file("cannot make", run);
	f->run_dirfd = dir_open(LAYOUT_RUN);
	int lock = openat(f->run_dirfd, "lock",
	    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock < 0)
		fail_file("cannot open the lock in", run);
	if (flock(lock, LOCK_EX | LOCK_NB) < 0)
		fail(EXITCODE_TEMPORARY, "postern-start already runs in", run,
		    0, "see postern status; to restart, stop that one first");
	errors_init(f->run_dirfd);
}

static void
user_find(struct family *f, struct child *c)
{
	if (f->one_user) {
		c->uid = getuid();
		c->gid = getgid();
	} else if (privs_lookup(c->plan->user, &c->uid, &c->gid) < 0) {
		fail(EXITCODE_PERMANENT, "there is no user", c->plan->user,
		    errno, "run install/users, which makes one for each role");
	}
}

static void
role_open(struct family *f, struct child *c, const struct plan_role *plan)
{
	char text[600];
	struct buf path = BUF_ON(text);

	*c = (struct child){
		.plan = plan, .dir_fd = -1, .channel = { .fd = -1 }
	};
	user_find(f, c);
	const char *program = layout_program(plan->program, &path);
	c->program_fd = open(program, O_PATH | O_CLOEXEC);
	if (c->program_fd < 0)
		fail(EXITCODE_PERMANENT, "cannot open the program", program,
		    errno, "install Postern again: make install");
	if (plan->dir != PLAN_NO_DIR)
		c->dir_fd = dir_open((enum layout_place)plan->dir);
	if (plan->socket != NULL)
		sockets_open_unix(f->run_dirfd, c);
	if (plan->tcp != NULL)
		sockets_open_tcp(f->control_dirfd, c);
}

void
open_roles(struct family *f)
{
	if (plan_role_count > FAMILY_ROLES || plan_link_count > FAMILY_LINKS)
		bug("the plan has outgrown FAMILY_ROLES or FAMILY_LINKS");
	for (size_t i = 0; i < plan_role_count; i++)
		role_open(f, &f->roles[i], &plan_roles[i]);
	f->count = plan_role_count;
}
