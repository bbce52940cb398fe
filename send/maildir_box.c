/* SPDX-License-Identifier: ISC
 * maildir_box: opens, makes, searches and cleans one Maildir; contract in
 * maildir.h.
 */
#include "send/maildir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/io.h"

enum {
	STALE_SECONDS = 36 * 3600, /* maildir(5): what is older than 36 hours */
	CLEAN_EVERY = 64 /* clean tmp/ of the first of so many boxes */
};

static const int dir_flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW;

/* ---- opening ---- */

/* One part of a path; made when it is missing and `make` says so. */
static int
enter(int dir_fd, const char *name, bool make)
{
	int fd = openat(dir_fd, name, dir_flags);
	if (fd >= 0 || errno != ENOENT || !make)
		return fd;
	if (mkdirat(dir_fd, name, 0700) < 0 && errno != EEXIST)
		return -1;
	return openat(dir_fd, name, dir_flags);
}

/* Walks down from base part by part; the last directory, or -1. */
static int
walk(int base_fd, struct str path, bool make)
{
	int fd = base_fd;
	struct str part, rest = path;
	bool more = true;
	while (more && fd >= 0) {
		char text[NAME_MAX + 1];
		struct buf name = BUF_ON(text);
		more = str_cut(rest, '/', &part, &rest);
		buf_put(&name, part);
		const char *cname = buf_cstr(&name);
		int next = -1;
		if (cname == NULL)
			errno = ENAMETOOLONG;
		else
			next = enter(fd, cname, make);
		int saved = errno;
		if (fd != base_fd)
			close(fd);
		errno = saved;
		fd = next;
	}
	return fd;
}

/* A directory below the base, without following a symbolic link. */
static int
open_below(int base_fd, const char *path)
{
	struct open_how how = { .flags = (uint64_t)dir_flags,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
			   RESOLVE_NO_MAGICLINKS };
	int fd;
	do { /* EAGAIN: a rename elsewhere came between */
		fd =
		    (int)syscall(SYS_openat2, base_fd, path, &how, sizeof(how));
	} while (fd < 0 && (errno == EAGAIN || errno == EINTR));
	if (fd < 0 && errno == ENOSYS)
		fd = walk(base_fd, str_of(path), false);
	return fd;
}

static int
open_part(struct maildir *m, struct maildir_box *box, const char *part)
{
	memcpy(box->path + box->path_n, part, strlen(part) + 1);
	int fd = open_below(m->base_fd, box->path);
	box->path[box->path_n] = '\0';
	return fd;
}

static int
open_parts(struct maildir *m, struct maildir_box *box)
{
	box->tmp_fd = open_part(m, box, "/tmp");
	if (box->tmp_fd < 0)
		return -1;
	box->new_fd = open_part(m, box, "/new");
	return box->new_fd < 0 ? -1 : 0;
}

static int
make_parts(struct maildir *m, struct maildir_box *box)
{
	static const char *const parts[] = { "tmp", "new", "cur" };
	struct str path = { .p = box->path, .n = box->path_n };
	int error = 0, fd = walk(m->base_fd, path, true);
	m->made = true;
	m->part_made = m->part_made || fd < 0;
	if (fd < 0)
		return -1;
	for (size_t i = 0; i < N_ELEMENTS(parts) && error == 0; i++)
		if (mkdirat(fd, parts[i], 0700) < 0 && errno != EEXIST)
			error = errno;
	close(fd);
	m->part_made = m->part_made || error != 0;
	errno = error;
	return error == 0 ? 0 : -1;
}

/* ---- reading directories ---- */

/* Calls each(arg, dir_fd, name) for every name in the directory that does not
 * begin with a dot, until it returns true.  1, 0, or -1 with errno. */
static int
list(struct maildir *m, int dir_fd,
    bool (*each)(void *arg, int dir_fd, const char *name), void *arg)
{
	if (lseek(dir_fd, 0, SEEK_SET) < 0)
		return -1;
	for (;;) {
		ssize_t n = getdents64(dir_fd, m->names, sizeof(m->names));
		if (n <= 0)
			return (int)n;
		for (ssize_t at = 0; at < n;) {
			const char *entry = m->names + at;
			unsigned short length;
			memcpy(&length,
			    entry + offsetof(struct dirent64, d_reclen),
			    sizeof(length));
			const char *name =
			    entry + offsetof(struct dirent64, d_name);
			if (name[0] != '.' && each(arg, dir_fd, name))
				return 1;
			at += length;
		}
	}
}

/* ---- tmp/ ---- */

static bool
remove_stale(void *arg, int dir_fd, const char *name)
{
	const int64_t *now = arg;
	struct stat st;
	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(st.st_mode))
		return false;
	if (st.st_atime + STALE_SECONDS < *now &&
	    st.st_mtime + STALE_SECONDS < *now)
		(void)unlinkat(dir_fd, name, 0); /* gone already is as good */
	return false;
}

static void
clean(struct maildir *m, const struct maildir_box *box)
{
	int64_t now = clock_now();
	/* what cannot be cleaned today may be tomorrow */
	(void)list(m, box->tmp_fd, remove_stale, &now);
}

/* ---- boxes ---- */

void
maildir_box_close(struct maildir_box *box)
{
	io_close(&box->tmp_fd);
	io_close(&box->new_fd);
	io_close(&box->cur_fd);
}

static struct maildir_box *
find_open(struct maildir *m, struct str path)
{
	for (size_t i = 0; i < m->box_count; i++) {
		struct maildir_box *box = &m->boxes[i];
		if (box->path_n == path.n &&
		    memcmp(box->path, path.p, path.n) == 0)
			return box;
	}
	return NULL;
}

struct maildir_box *
maildir_box_open(struct maildir *m, struct str path)
{
	struct maildir_box *box = find_open(m, path);
	if (box != NULL)
		return box;
	if (path.n > MAILDIR_PATH || m->box_count == MAILDIR_BOXES) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	box = &m->boxes[m->box_count];
	box->path_n = path.n;
	memcpy(box->path, path.p, path.n);
	box->path[path.n] = '\0';
	box->tmp_fd = box->new_fd = box->cur_fd = -1;
	box->touched = false;
	int opened = open_parts(m, box);
	if (opened < 0 && errno == ENOENT) {
		maildir_box_close(box);
		opened = make_parts(m, box) < 0 ? -1 : open_parts(m, box);
	}
	struct stat st;
	if (opened < 0 || fstat(box->new_fd, &st) < 0) {
		int saved = errno;
		maildir_box_close(box);
		errno = saved;
		return NULL;
	}
	box->device = st.st_dev;
	m->box_count++;
	if (m->opened++ % CLEAN_EVERY == 0)
		clean(m, box);
	return box;
}

/* ---- searching ---- */

static bool
note_name(void *arg, int dir_fd, const char *name)
{
	(void)dir_fd;
	seen_add(arg, str_of(name));
	return false;
}

static bool
seen_is_of(const struct maildir *m, const struct maildir_box *box)
{
	return m->seen.filled && m->seen_path_n == box->path_n &&
	       memcmp(m->seen_path, box->path, box->path_n) == 0;
}

/* What was read once stays true: only this process puts such names in, and it
 * calls maildir_box_delivered. */
static int
fill_seen(struct maildir *m, const struct maildir_box *box)
{
	seen_reset(&m->seen);
	memcpy(m->seen_path, box->path, box->path_n);
	m->seen_path_n = box->path_n;
	if (list(m, box->new_fd, note_name, &m->seen) < 0 ||
	    list(m, box->cur_fd, note_name, &m->seen) < 0)
		return -1;
	m->seen.filled = true;
	return 0;
}

struct lookup {
	struct str unique;
	struct buf *name;
};

static bool
is_wanted(void *arg, int dir_fd, const char *name)
{
	struct lookup *l = arg;
	(void)dir_fd;
	if (!mailname_is(str_of(name), l->unique))
		return false;
	buf_reset(l->name);
	buf_puts(l->name, name);
	return true;
}

int
maildir_box_find(struct maildir *m, struct maildir_box *box, struct str unique,
    int *dir_fd, struct buf *name)
{
	if (box->cur_fd < 0) {
		box->cur_fd = open_part(m, box, "/cur");
		if (box->cur_fd < 0 && errno == ENOENT &&
		    make_parts(m, box) == 0)
			box->cur_fd = open_part(m, box, "/cur");
		if (box->cur_fd < 0)
			return -1;
	}
	if (!seen_is_of(m, box) && fill_seen(m, box) < 0)
		return -1;
	if (!seen_maybe(&m->seen, unique))
		return 0;
	/* twice: a reader may move it from new/ to cur/ (or back) meanwhile */
	struct lookup l = { .unique = unique, .name = name };
	for (int i = 0; i < 4; i++) {
		*dir_fd = i % 2 == 0 ? box->new_fd : box->cur_fd;
		int found = list(m, *dir_fd, is_wanted, &l);
		if (found != 0)
			return found;
	}
	return 0;
}

void
maildir_box_delivered(
    struct maildir *m, const struct maildir_box *box, struct str name)
{
	if (seen_is_of(m, box))
		seen_add(&m->seen, name);
}
