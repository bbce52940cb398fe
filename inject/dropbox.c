/* SPDX-License-Identifier: ISC
 * dropbox: contract in dropbox.h.  Runs as any user, with the group of the drop
 * box.
 *
 * Who writes a temporary file holds a lock on it; one without a lock was left
 * by a writer that died.  Only who has the lock of a file removes or changes
 * its temporary name, and looks first, with the lock held, that the name is
 * still that file's: it stays so then.
 */
#include "inject/dropbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/io.h"
#include "common/layout.h"

int
dropbox_open(struct dropbox *d, uint64_t messages, uint64_t bytes)
{
	*d = (struct dropbox){ .fd = -1,
		.messages = messages,
		.bytes = bytes,
		.name = { .uid = geteuid() } };
	d->dirfd = open(layout_path(LAYOUT_DROP_NEW),
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return d->dirfd < 0 ? -1 : 0;
}

/* The bytes of a slot's file, whole or not; -1: there is none. */
static int64_t
size_of(const struct dropbox *d, uint32_t slot, bool tmp)
{
	char text[DROPNAME_ROOM];
	struct buf name = BUF_ON(text);
	const struct dropname n = {
		.uid = d->name.uid, .slot = slot, .tmp = tmp
	};
	struct stat st;

	if (fstatat(d->dirfd, dropname_put(&name, &n), &st,
		AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	return st.st_size;
}

/* True while `name` is the file that fd is. */
static bool
is_at(const struct dropbox *d, const char *name, int fd)
{
	struct stat at, st;

	return fstatat(d->dirfd, name, &at, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstat(fd, &st) == 0 && at.st_ino == st.st_ino &&
	       at.st_dev == st.st_dev;
}

/* Removes a temporary file whose writer has died. */
static void
reclaim(const struct dropbox *d, const char *name)
{
	int fd = openat(d->dirfd, name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && is_at(d, name, fd))
		(void)unlinkat(d->dirfd, name, 0); /* else: the slot is taken */
	io_close(&fd);
}

/* Takes the slot, if it is free.  0, or -1 with errno: EEXIST, it is not. */
static int
take_slot(struct dropbox *d, uint32_t slot)
{
	char text[DROPNAME_ROOM];
	struct buf b = BUF_ON(text);

	d->name.slot = slot;
	d->name.tmp = true;
	const char *name = dropname_put(&b, &d->name);
	reclaim(d, name);
	int fd = openat(d->dirfd, name,
	    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (fd < 0)
		return -1;
	/* one that found it before our lock took it for a dead writer's, and
	 * removes it */
	bool ours = flock(fd, LOCK_EX | LOCK_NB) == 0 && is_at(d, name, fd);
	/* a whole message came between our look and the file */
	bool used = size_of(d, slot, false) >= 0;
	if (ours && !used) {
		d->fd = fd;
		return 0;
	}
	if (ours)
		(void)unlinkat(d->dirfd, name, 0);
	close(fd);
	errno = EEXIST;
	return -1;
}

int
dropbox_check(const struct dropbox *d)
{
	uint64_t sum = 0;

	for (uint32_t slot = 0; slot < d->messages; slot++) {
		int64_t whole = size_of(d, slot, false);
		int64_t tmp = size_of(d, slot, true);

		sum += whole > 0 ? (uint64_t)whole : 0;
		sum += tmp > 0 ? (uint64_t)tmp : 0;
	}
	if (sum <= d->bytes)
		return 0;
	errno = EDQUOT;
	return -1;
}

int
dropbox_begin(struct dropbox *d)
{
	if (dropbox_check(d) < 0)
		return -1;
	for (uint32_t slot = 0; slot < d->messages; slot++) {
		if (size_of(d, slot, false) >= 0)
			continue;
		if (take_slot(d, slot) == 0)
			return 0;
		if (errno != EEXIST)
			return -1;
	}
	errno = EDQUOT;
	return -1;
}

uint64_t
dropbox_limit(const struct dropbox *d)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_FSIZE, &r) < 0)
		return 0; /* nothing can be written, and is said so */
	return r.rlim_max < d->bytes ? r.rlim_max : d->bytes;
}

int
dropbox_publish(struct dropbox *d)
{
	char tmp_text[DROPNAME_ROOM], text[DROPNAME_ROOM];
	struct buf tmp = BUF_ON(tmp_text), b = BUF_ON(text);
	const char *from = dropname_put(&tmp, &d->name);

	d->name.tmp = false;
	const char *to = dropname_put(&b, &d->name);
	d->name.tmp = true;
	if (fsync(d->fd) < 0 || dropbox_check(d) < 0 ||
	    renameat2(d->dirfd, from, d->dirfd, to, RENAME_NOREPLACE) < 0)
		return -1;
	d->fd = -1; /* it is pickup's now */
	return fsync(d->dirfd);
}

void
dropbox_discard(struct dropbox *d)
{
	char text[DROPNAME_ROOM];
	struct buf b = BUF_ON(text);
	int saved = errno;

	if (d->fd >= 0)
		(void)unlinkat(d->dirfd, dropname_put(&b, &d->name), 0);
	d->fd = -1;
	errno = saved;
}

const char *
dropbox_why(int error)
{
	if (error == EDQUOT)
		return "4.2.2 Postern is stopped, and your messages in its "
		       "drop box are as many as control/dropmessages and "
		       "dropbytes allow; try again when it runs";
	if (error != EACCES)
		return NULL;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return "4.3.0 Postern is stopped, and its drop box is closed "
		       "to programs that run with no_new_privs; try again when "
		       "it runs";
	return "4.3.0 Postern is stopped, and postern-queue has not the group "
	       "of its drop box (postern check says what is wrong); try again "
	       "when it runs";
}
