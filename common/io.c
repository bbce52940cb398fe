/* SPDX-License-Identifier: ISC
 * io: contract in io.h.
 */
#include "common/io.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/buf.h"
#include "common/clock.h"

int
io_write_all(int fd, struct str s)
{
	while (s.n > 0) {
		ssize_t n = write(fd, s.p, s.n);
		if (n > 0) {
			s = str_skip(s, (size_t)n);
		} else if (n < 0 && errno == EAGAIN) {
			if (io_wait(fd, true, -1) < 0)
				return -1;
		} else if (n < 0 && errno != EINTR) {
			return -1;
		}
	}
	return 0;
}

int
io_pwrite_all(int fd, struct str s, uint64_t offset)
{
	while (s.n > 0) {
		ssize_t n = pwrite(fd, s.p, s.n, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0) {
			errno = ENOSPC;
			return -1;
		}
		s = str_skip(s, (size_t)n);
		offset += (uint64_t)n;
	}
	return 0;
}

int
io_write_out(int fd)
{
	const unsigned all = SYNC_FILE_RANGE_WAIT_BEFORE |
			     SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
	if (sync_file_range(fd, 0, 0, all) == 0)
		return 0;
	/* a failed write is not tried again: the kernel has forgotten it, and
	 * the next sync would lie */
	if (errno != ENOSYS && errno != EINVAL && errno != ESPIPE)
		return -1;
	return fsync(fd);
}

int64_t
io_pread_all(int fd, char *p, size_t n, uint64_t offset)
{
	size_t done = 0;
	while (done < n) {
		ssize_t r =
		    pread(fd, p + done, n - done, (off_t)(offset + done));
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -1;
		if (r == 0)
			break;
		done += (size_t)r;
	}
	return (int64_t)done;
}

int64_t
io_slurp(int fd, char *p, size_t cap)
{
	size_t done = 0;
	for (;;) {
		char extra;
		bool over = done == cap;
		ssize_t r =
		    over ? read(fd, &extra, 1) : read(fd, p + done, cap - done);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -1;
		if (r == 0)
			return (int64_t)done;
		if (over) {
			errno = EFBIG;
			return -1;
		}
		done += (size_t)r;
	}
}

int64_t
io_read_file(int dirfd, const char *name, char *p, size_t cap)
{
	int fd = openat(dirfd, name,
	    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -1;
	struct stat st;
	int64_t n = -1;
	if (fstat(fd, &st) == 0) {
		if (S_ISREG(st.st_mode))
			n = io_slurp(fd, p, cap);
		else
			errno = EINVAL;
	}
	int saved = errno;
	close(fd);
	errno = saved;
	return n;
}

/* .NAME.new, in t; NULL: it is too long. */
static const char *
name_of_new(const char *name, struct buf *t)
{
	buf_putc(t, '.');
	buf_puts(t, name);
	buf_puts(t, ".new");
	const char *temp_name = buf_cstr(t);
	if (temp_name == NULL)
		errno = ENAMETOOLONG;
	return temp_name;
}

/* Where a uid is given, the file is that owner's. */
static bool
own(int fd, uid_t uid, gid_t gid)
{
	return uid == (uid_t)-1 || fchown(fd, uid, gid) == 0 || geteuid() != 0;
}

static int
write_synced(int dirfd, const char *name, struct str content, unsigned mode,
    uid_t uid, gid_t gid)
{
	int fd = openat(dirfd, name,
	    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -1;
	bool ok = io_write_all(fd, content) == 0 && own(fd, uid, gid) &&
		  fchmod(fd, (mode_t)mode) == 0 && fsync(fd) == 0;
	int saved = errno;
	if (close(fd) < 0 && ok)
		return -1;
	errno = saved;
	return ok ? 0 : -1;
}

int
io_replace_file_of(int dirfd, const char *name, struct str content,
    unsigned mode, uid_t uid, gid_t gid)
{
	char text[288];
	struct buf temp = BUF_ON(text);
	const char *temp_name = name_of_new(name, &temp);
	if (temp_name == NULL)
		return -1;
	/* what an earlier writer left when it died */
	if (unlinkat(dirfd, temp_name, 0) < 0 && errno != ENOENT)
		return -1;
	if (write_synced(dirfd, temp_name, content, mode, uid, gid) < 0 ||
	    renameat(dirfd, temp_name, dirfd, name) < 0) {
		int saved = errno;
		if (saved != EEXIST)
			unlinkat(dirfd, temp_name, 0);
		errno = saved;
		return -1;
	}
	return fsync(dirfd);
}

int
io_replace_file(int dirfd, const char *name, struct str content, unsigned mode)
{
	return io_replace_file_of(
	    dirfd, name, content, mode, (uid_t)-1, (gid_t)-1);
}

int
io_swap_file(int dirfd, const char *name, struct str content, unsigned mode)
{
	char text[288];
	struct buf temp = BUF_ON(text);
	const char *temp_name = name_of_new(name, &temp);
	if (temp_name == NULL)
		return -1;
	int fd = openat(dirfd, temp_name,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
	    (mode_t)mode);
	if (fd < 0)
		return -1;
	int r = io_write_all(fd, content);
	if (close(fd) < 0 || r < 0)
		return -1;
	return renameat(dirfd, temp_name, dirfd, name);
}

int
io_nonblock(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return -1;
	int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
	return wanted == flags ? 0 : fcntl(fd, F_SETFL, wanted);
}

int
io_cloexec(int fd, bool on)
{
	return fcntl(fd, F_SETFD, on ? FD_CLOEXEC : 0);
}

int
io_wait(int fd, bool for_write, int timeout_ms)
{
	int64_t until = clock_mono_ms() + timeout_ms;
	struct pollfd p = { .fd = fd, .events = for_write ? POLLOUT : POLLIN };
	for (;;) {
		int n = poll(&p, 1, timeout_ms);
		if (n >= 0)
			return n > 0;
		if (errno != EINTR)
			return -1;
		if (timeout_ms >= 0) {
			int64_t left = until - clock_mono_ms();
			timeout_ms = left > 0 ? (int)left : 0;
		}
	}
}

int
io_pair(int type, int fds[2])
{
	return socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds);
}

void
io_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}
