/* SPDX-License-Identifier: ISC
 * logdev DISK LOG POSITION FOLDER: a FUSE file system at FOLDER with one file,
 * `disk`, that holds what DISK holds.  Every write and every flush of it goes
 * to LOG, in the order in which they were done, before it is answered: a loop
 * device over it is a disk whose write cache can be played back.  (A write that
 * comes while a flush is under way may stand before it: then it counts as
 * flushed, which a disk need not have done.  File systems wait for the writes
 * that they want flushed.)  Runs as root, in the foreground, until FOLDER is
 * unmounted or SIGTERM comes.
 *
 * LOG: per record a struct record in this machine's byte order, then the bytes
 * written.  POSITION: 4096 bytes for mmap(2); the first eight are the number of
 * records in LOG.
 */
#define FUSE_USE_VERSION 312
#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { DISK_INODE = 2, NAME_FOREVER_S = 3600 };

struct record {
	uint64_t is_flush;
	uint64_t offset;
	uint64_t size;
	uint64_t us; /* since 1970 */
};

static const char disk_name[] = "disk";
static int disk_fd = -1;
static int log_fd = -1;
static _Atomic uint64_t *position;

static _Noreturn void
fail(const char *what)
{
	fprintf(stderr, "logdev: %s: %s\n", what, strerror(errno));
	exit(111);
}

/* A log with a hole proves nothing: what cannot be logged ends the device. */
static void
note(uint64_t is_flush, const char *p, size_t n, off_t offset)
{
	struct timespec now;
	if (clock_gettime(CLOCK_REALTIME, &now) < 0)
		fail("clock");
	struct record r = { .is_flush = is_flush,
		.offset = (uint64_t)offset,
		.size = n,
		.us = (uint64_t)now.tv_sec * 1000000 +
		      (uint64_t)now.tv_nsec / 1000 };
	const struct iovec iov[2] = { { .iov_base = &r, .iov_len = sizeof(r) },
		{ .iov_base = (void *)(uintptr_t)p, .iov_len = n } };
	ssize_t done = writev(log_fd, iov, n > 0 ? 2 : 1);
	if (done != (ssize_t)(sizeof(r) + n))
		fail("log");
	atomic_fetch_add(position, 1);
}

/* ---- the two inodes ---- */

static int
attributes(fuse_ino_t ino, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_ino = ino;
	st->st_nlink = 1;
	if (ino == FUSE_ROOT_ID) {
		st->st_mode = S_IFDIR | 0700;
		return 0;
	}
	struct stat disk;
	if (fstat(disk_fd, &disk) < 0)
		return errno;
	st->st_mode = S_IFREG | 0600;
	st->st_size = disk.st_size;
	return 0;
}

static void
on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { .ino = DISK_INODE,
		.attr_timeout = NAME_FOREVER_S,
		.entry_timeout = NAME_FOREVER_S };
	int error = ENOENT;
	if (parent == FUSE_ROOT_ID && strcmp(name, disk_name) == 0)
		error = attributes(DISK_INODE, &e.attr);
	if (error != 0)
		fuse_reply_err(req, error);
	else
		fuse_reply_entry(req, &e);
}

static void
on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;
	(void)fi;
	int error = attributes(ino, &st);
	if (error != 0)
		fuse_reply_err(req, error);
	else
		fuse_reply_attr(req, &st, NAME_FOREVER_S);
}

static void
on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	if (ino != DISK_INODE) {
		fuse_reply_err(req, EISDIR);
		return;
	}
	fi->direct_io = 1; /* nothing stays in a cache between it and us */
	fuse_reply_open(req, fi);
}

/* ---- the disk ---- */

static void
on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
    struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	char *p = malloc(size);
	ssize_t n = p == NULL ? -1 : pread(disk_fd, p, size, offset);
	if (n < 0)
		fuse_reply_err(req, errno);
	else
		fuse_reply_buf(req, p, (size_t)n);
	free(p);
}

static void
on_write(fuse_req_t req, fuse_ino_t ino, const char *p, size_t size,
    off_t offset, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	ssize_t n = pwrite(disk_fd, p, size, offset);
	if (n != (ssize_t)size) {
		fuse_reply_err(req, n < 0 ? errno : ENOSPC);
		return;
	}
	note(0, p, size, offset);
	fuse_reply_write(req, size);
}

static void
on_fsync(
    fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)ino;
	(void)datasync;
	(void)fi;
	note(1, NULL, 0, 0);
	fuse_reply_err(req, 0);
}

static const struct fuse_lowlevel_ops operations = {
	.lookup = on_lookup,
	.getattr = on_getattr,
	.open = on_open,
	.read = on_read,
	.write = on_write,
	.fsync = on_fsync,
};

/* ---- start ---- */

static void
open_all(char **argv)
{
	enum { POSITION_SIZE = 4096 };
	disk_fd = open(argv[1], O_RDWR | O_CLOEXEC);
	if (disk_fd < 0)
		fail(argv[1]);
	log_fd = open(
	    argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (log_fd < 0)
		fail(argv[2]);
	int fd = open(argv[3], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, POSITION_SIZE) < 0)
		fail(argv[3]);
	position = mmap(
	    NULL, POSITION_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (position == MAP_FAILED)
		fail(argv[3]);
	close(fd);
}

int
main(int argc, char **argv)
{
	if (argc != 5) {
		fprintf(stderr, "usage: logdev DISK LOG POSITION FOLDER\n");
		return 100;
	}
	open_all(argv);
	char *words[] = { argv[0], NULL };
	struct fuse_args args = FUSE_ARGS_INIT(1, words);
	struct fuse_session *s =
	    fuse_session_new(&args, &operations, sizeof(operations), NULL);
	if (s == NULL || fuse_set_signal_handlers(s) != 0 ||
	    fuse_session_mount(s, argv[4]) != 0)
		return 111;
	int r = fuse_session_loop(s);
	fuse_session_unmount(s);
	fuse_session_destroy(s);
	return r < 0 ? 111 : 0;
}
