/* SPDX-License-Identifier: ISC
 * accounts: contract in accounts.h.  The data base is read by a short-lived
 * child as posternu, so that no name service module runs in a root process.
 */
#include "start/accounts.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/exitcode.h"
#include "common/io.h"
#include "common/log.h"
#include "common/privs.h"

enum {
	READ_SECONDS = 10, /* a name service that hangs costs no more */
	LINE_ROOM = 4096
};

static bool
gets_mail(const struct passwd *pw, bool one_user)
{
	if (one_user) /* nobody else's home can be written to */
		return pw->pw_uid == getuid();
	return privs_is_person(pw->pw_uid);
}

/* False when nothing more can be written. */
static bool
account_put(int fd, const struct passwd *pw)
{
	char text[LINE_ROOM];
	struct buf b = BUF_ON(text);

	if (strpbrk(pw->pw_name, ":\n") != NULL ||
	    strpbrk(pw->pw_dir, ":\n") != NULL)
		return true;
	buf_puts(&b, pw->pw_name);
	buf_putc(&b, ':');
	buf_put_u64(&b, pw->pw_uid);
	buf_putc(&b, ':');
	buf_puts(&b, pw->pw_dir);
	buf_putc(&b, '\n');
	return b.full || io_write_all(fd, buf_str(&b)) == 0;
}

static _Noreturn void
accounts_read(const struct family *f, const struct child *userd, int fd)
{
	const struct rlimit seconds = { READ_SECONDS, READ_SECONDS };
	const struct passwd *pw;

	alarm(READ_SECONDS);
	if (setrlimit(RLIMIT_CPU, &seconds) < 0 || dup2(fd, 3) < 0 ||
	    close_range(4, ~0U, 0) < 0 ||
	    (!f->one_user && privs_drop(userd->uid, userd->gid) < 0))
		_exit(EXITCODE_TEMPORARY);
	setpwent();
	while ((pw = getpwent()) != NULL)
		if (gets_mail(pw, f->one_user) && !account_put(3, pw))
			_exit(EXITCODE_TEMPORARY);
	endpwent();
	_exit(EXITCODE_DONE);
}

static int
sealed_snapshot(const struct family *f, const struct child *userd)
{
	int fd = memfd_create("accounts", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -1;
	pid_t pid = fork();
	if (pid == 0)
		accounts_read(f, userd, fd);
	int status = 0;
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid > 0 && status == 0 &&
	    fcntl(fd, F_ADD_SEALS,
		F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0)
		return fd;
	if (pid > 0 && status != 0)
		errno = EIO;
	int saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

void
accounts_take(struct family *f)
{
	const struct child *userd = family_find(f, "userd");
	int fd = userd == NULL ? -1 : sealed_snapshot(f, userd);

	if (fd < 0) {
		LOG(ERROR, "accounts", F_ERRNO(errno));
		return;
	}
	io_close(&f->accounts_fd);
	f->accounts_fd = fd;
	f->accounts_due = true;
}

static void
on_etc(struct watch *w, uint32_t events)
{
	_Alignas(struct inotify_event) char text[4096];
	bool changed = false;
	ssize_t n = read(w->fd, text, sizeof(text));

	(void)events;
	for (size_t at = 0; n > 0 && at < (size_t)n;) {
		const struct inotify_event *e =
		    (const struct inotify_event *)(const void *)(text + at);
		if (e->len > 0 && strcmp(e->name, "passwd") == 0)
			changed = true;
		at += sizeof(*e) + e->len;
	}
	if (changed)
		accounts_take(w->arg);
}

void
accounts_init(struct family *f)
{
	static struct watch etc;
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	f->accounts_fd = -1;
	accounts_take(f);
	etc = (struct watch){ .fd = fd, .ready = on_etc, .arg = f };
	if (fd < 0 ||
	    inotify_add_watch(fd, "/etc", IN_MOVED_TO | IN_CLOSE_WRITE) < 0 ||
	    loop_add(&etc, EPOLLIN) < 0)
		LOG(ERROR, "accounts-watch", F_ERRNO(errno));
}
