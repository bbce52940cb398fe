/* SPDX-License-Identifier: ISC
 * fsck_mess: the files of messages: each in its place, under its name, whole.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "common/io.h"
#include "install/progress.h"
#include "queue/fsck.h"
#include "queue/messfile.h"

static const char aside[] = "move it to quarantine/";

/* ---- directories ---- */

static DIR *
open_dir(struct fsck *f, const char *name)
{
	int fd = openat(
	    f->dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (d == NULL && errno != ENOENT && errno != ENOTDIR && errno != ELOOP)
		fsck_found(f, name, strerror(errno),
		    "see whether the disk is sound", FSCK_NO_MEND);
	return d;
}

static bool
is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static bool
is_folder(const char *name)
{
	return strlen(name) == 2 && strspn(name, "0123456789abcdef") == 2;
}

static void
stray(struct fsck *f, const char *path, const char *name, const char *what)
{
	struct stat st;
	bool bytes = fstatat(f->dirfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		     S_ISREG(st.st_mode) || S_ISDIR(st.st_mode);
	if (bytes)
		fsck_found(f, path, what, aside,
		    fsck_mends(f) ? fsck_set_aside(f, path, name) : 0);
	else
		fsck_found(f, path, "a link, pipe, socket or device",
		    "remove it", fsck_mends(f) ? fsck_remove(f, path) : 0);
}

/* ---- one file ---- */

/* Is it still like this?  While queued runs, what looked wrong may have been a
 * file on its way. */
static bool
look_again(const struct fsck *f, const char *path)
{
	struct messfile m;
	if (!f->live)
		return false;
	const struct timespec pause = { .tv_nsec = 300000000L };
	(void)nanosleep(&pause, NULL); /* shorter is fine */
	if (messfile_open_at(f->dirfd, path, O_RDONLY, f->key, &m) < 0)
		return errno == ENOENT;
	bool whole = messfile_body_ok(&m, f->key);
	messfile_close(&m);
	return whole;
}

static void
unreadable(struct fsck *f, const char *path, const char *name, int error)
{
	if (error == ENOENT || look_again(f, path))
		return; /* removed, or written, meanwhile */
	if (error == EIO || error == EACCES || error == ENOMEM ||
	    error == EPERM)
		fsck_found(f, path, strerror(error),
		    "see whether the disk is sound; queued leaves it alone",
		    FSCK_NO_MEND);
	else if (error == EBADMSG)
		stray(f, path, name, "damaged: its head or envelope");
	else
		stray(f, path, name, "no regular file");
}

static void
torn_tail(struct fsck *f, const char *path, struct messfile *m)
{
	int e = 0;
	if (fsck_mends(f)) {
		int fd =
		    openat(f->dirfd, path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0 || ftruncate(fd, (off_t)m->end) < 0 || fsync(fd) < 0)
			e = errno;
		io_close(&fd);
	}
	fsck_found(f, path, "bytes behind its last right entry",
	    "cut them off (a change that was not finished)", e);
}

/* A message whose file has another name or folder than its id says. */
static void
misplaced(struct fsck *f, const char *path, uint64_t id)
{
	char to[MESS_NAME];
	char dir[MESS_NAME];
	int e = 0;
	mess_name(id, to);
	memcpy(dir, to, sizeof(dir));
	dir[7] = '\0';
	if (fsck_mends(f)) {
		if (mkdirat(f->dirfd, dir, 0700) < 0 && errno != EEXIST)
			e = errno;
		if (e == 0 && renameat2(f->dirfd, path, f->dirfd, to,
				  RENAME_NOREPLACE) < 0)
			e = errno;
		if (e == 0)
			e = fsck_sync_dir(f, dir);
		if (e == 0)
			e = fsck_sync_dir(f, "mess");
		if (e == 0)
			ids_add(&f->files, id);
	}
	if (e == EEXIST) {
		char name[FSCK_PATH];
		struct buf b = BUF_ON(name);
		buf_put_hex64(&b, id);
		stray(f, path, buf_cstr(&b),
		    "a second file of a message that is in its place");
		return;
	}
	fsck_found(
	    f, path, "in the wrong place", "move it where its id belongs", e);
}

static void
check_file(struct fsck *f, const char *path, const char *name)
{
	struct messfile m;
	char right[MESS_NAME];
	if (messfile_open_at(f->dirfd, path, O_RDONLY, f->key, &m) < 0) {
		unreadable(f, path, name, errno);
		return;
	}
	f->messages++;
	mess_name(m.head.id, right);
	bool whole = f->skip_bodies || messfile_body_ok(&m, f->key);
	if (!whole && !look_again(f, path))
		stray(f, path, name, "damaged: its body");
	else if (whole && strcmp(path, right) != 0 && !f->live)
		misplaced(f, path, m.head.id);
	else
		ids_add(&f->files, m.head.id);
	if (whole && m.size > m.end && !f->live && strcmp(path, right) == 0)
		torn_tail(f, path, &m);
	messfile_close(&m);
}

/* ---- all of them ---- */

static void
sweep_tmp(struct fsck *f)
{
	char path[FSCK_PATH];
	DIR *d = open_dir(f, "mess/tmp");
	if (d == NULL)
		return;
	for (struct dirent *e = readdir(d); e != NULL && !f->live;
	     e = readdir(d)) {
		if (is_dots(e->d_name))
			continue;
		fsck_path(path, "mess/tmp", e->d_name);
		if (fsck_mends(f))
			fsck_found(f, path,
			    "left over from a stop, never acknowledged",
			    "remove it", fsck_remove(f, path));
		else
			fsck_note(f, path,
			    "left over from a stop; the next start removes it");
	}
	closedir(d);
}

static void
check_folder(struct fsck *f, const char *folder)
{
	char dir[FSCK_PATH];
	char path[FSCK_PATH];
	fsck_path(dir, "mess", folder);
	DIR *d = open_dir(f, dir);
	if (d == NULL)
		return;
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		uint64_t id;
		if (is_dots(e->d_name))
			continue;
		fsck_path(path, dir, e->d_name);
		if (mess_id(str_of(e->d_name), &id) || !f->live)
			check_file(f, path, e->d_name);
	}
	closedir(d);
}

static bool
is_dir(const struct fsck *f, const char *path)
{
	struct stat st;
	return fstatat(f->dirfd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode);
}

void
fsck_mess(struct fsck *f)
{
	char path[FSCK_PATH];
	char name[] = "00";
	static const char hex[] = "0123456789abcdef";
	DIR *d = open_dir(f, "mess");
	sweep_tmp(f);
	for (struct dirent *e = d == NULL ? NULL : readdir(d); e != NULL;
	     e = readdir(d)) {
		if (is_dots(e->d_name) || strcmp(e->d_name, "tmp") == 0)
			continue;
		fsck_path(path, "mess", e->d_name);
		if (!is_folder(e->d_name))
			stray(f, path, e->d_name, "nothing of Postern's");
		else if (!is_dir(f, path))
			stray(f, path, e->d_name, "not a directory");
	}
	if (d != NULL)
		closedir(d);
	progress_begin("files", false);
	for (unsigned i = 0; i < 256; i++) {
		name[0] = hex[i >> 4];
		name[1] = hex[i & 15];
		progress_at(i, 256);
		check_folder(f, name);
	}
	ids_sort(&f->files);
}
