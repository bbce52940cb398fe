/* SPDX-License-Identifier: ISC
 * fsck_owners: owners and modes of everything in the spool, which a copy may
 * have lost.  Runs as root when fsck was started so, and reads no content.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/io.h"
#include "common/privs.h"
#include "queue/fsck.h"

enum { DEPTH = 3 /* spool, mess, mess/ab */ };

static uid_t uid;
static gid_t gid;

/* Sets owner and mode through a descriptor: a name might be another file by
 * now.  A file with a second name may be anybody's. */
static int
set(int dirfd, const char *name, bool dir)
{
	struct stat st;
	int fd = openat(dirfd, name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC |
		(dir ? O_DIRECTORY : 0));
	if (fd < 0 && errno == EACCES && !dir && geteuid() != 0) {
		/* our own, unreadable; nobody but us can swap it */
		if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return errno;
		if (!S_ISREG(st.st_mode) || fchmodat(dirfd, name, 0600, 0) < 0)
			return EACCES;
		return 0;
	}
	if (fd < 0)
		return errno;
	int e = 0;
	if (fstat(fd, &st) < 0)
		e = errno;
	else if (!dir && (!S_ISREG(st.st_mode) || st.st_nlink != 1))
		e = EMLINK;
	else if ((geteuid() == 0 && fchown(fd, uid, gid) < 0) ||
		 fchmod(fd, dir ? 0700 : 0600) < 0)
		e = errno;
	io_close(&fd);
	return e;
}

static void
check(struct fsck *f, int dirfd, const char *path, const char *name,
    const struct stat *st)
{
	char what[96];
	bool dir = S_ISDIR(st->st_mode);
	mode_t wanted = dir ? 0700 : 0600;
	mode_t mode = st->st_mode & 07777;
	bool owner_ok = st->st_uid == uid && st->st_gid == gid;
	if ((!dir && !S_ISREG(st->st_mode)) || (owner_ok && mode == wanted))
		return;
	(void)snprintf(what, sizeof(what),
	    "owner %u:%u, mode %04o; should be %u:%u, %04o", st->st_uid,
	    st->st_gid, (unsigned)mode, uid, gid, (unsigned)wanted);
	fsck_found(f, path, what, "set owner and mode",
	    fsck_mends(f) ? set(dirfd, name, dir) : 0);
}

struct level {
	DIR *d;
	char path[FSCK_PATH];
};

static bool
is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool
enter(struct level *l, int dirfd, const char *name, const char *path)
{
	int fd = openat(
	    dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	l->d = fd < 0 ? NULL : fdopendir(fd);
	if (l->d == NULL) {
		io_close(&fd);
		return false;
	}
	struct buf b = BUF_ON(l->path);
	buf_puts(&b, path);
	if (buf_cstr(&b) == NULL)
		fsck_die("a path is too long", 0);
	return true;
}

/* One name of the directory at level l; true: a directory to go into. */
static bool
look(struct fsck *f, const struct level *l, const char *name,
    char path[FSCK_PATH])
{
	struct stat st;
	int fd = dirfd(l->d);
	if (is_dots(name) || fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	if (strcmp(l->path, ".") == 0) {
		struct buf b = { .p = path, .cap = FSCK_PATH };
		buf_puts(&b, name);
		if (buf_cstr(&b) == NULL)
			return false;
	} else {
		fsck_path(path, l->path, name);
	}
	check(f, fd, path, name, &st);
	return S_ISDIR(st.st_mode);
}

void
fsck_owners(struct fsck *f, const char *user)
{
	struct level level[DEPTH];
	struct stat st;
	int depth = 0;
	if (privs_lookup(user, &uid, &gid) < 0 || geteuid() != 0) {
		uid = geteuid();
		gid = getegid();
	}
	if (fstat(f->dirfd, &st) < 0)
		fsck_die("spool", errno);
	check(f, f->dirfd, ".", ".", &st);
	if (!enter(&level[0], f->dirfd, ".", "."))
		fsck_die("spool", errno);
	while (depth >= 0) {
		char path[FSCK_PATH];
		struct level *l = &level[depth];
		struct dirent *e = readdir(l->d);
		if (e == NULL) {
			closedir(l->d);
			depth--;
		} else if (look(f, l, e->d_name, path) && depth + 1 < DEPTH &&
			   enter(&level[depth + 1], dirfd(l->d), e->d_name,
			       path)) {
			depth++;
		}
	}
}
