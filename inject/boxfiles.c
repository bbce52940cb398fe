/* SPDX-License-Identifier: ISC
 * boxfiles: contract in boxfiles.h.  What it finds in new/ was put there by
 * whoever has the group posternk: postern-queue, or what became of it.
 */
#include "inject/boxfiles.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/die.h"
#include "common/io.h"
#include "common/log.h"
#include "inject/dropname.h"

enum {
	BAD_MAX = 100, /* kept in bad/ of what is no message */
	SAY_MAX = 200, /* lines about such ones, in */
	SAY_MS = 60000,
	LEFT_MAX = 64,	/* entries that cannot be moved: said once each */
	STALE_S = 60,	/* a writer without a lock has died */
	WORK_NAME = 32, /* 16 digits, a dot, a user's number, NUL */
	BAD_NAME = 24
};

static int new_fd, work_fd, bad_fd;
static unsigned bad_count;
static ino_t left[LEFT_MAX];
static size_t left_count;

/* ---- the folders ---- */

static int
open_folder(int dirfd, const char *name)
{
	return openat(
	    dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int
make_folder(int dirfd, const char *name)
{
	struct stat st;

	if (mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST)
		die(EXITCODE_TEMPORARY, name, errno);
	int fd = open_folder(dirfd, name);
	if (fd < 0 || fstat(fd, &st) < 0)
		die(EXITCODE_TEMPORARY, name, errno);
	if (st.st_uid != geteuid() || (st.st_mode & 022) != 0)
		die(EXITCODE_PERMANENT,
		    "work or bad in the drop box is not pickup's", 0);
	return fd;
}

/* The entries of a folder; NULL (logged): none to be had now. */
static DIR *
entries_of(int fd)
{
	int again = open_folder(fd, ".");
	DIR *d = again < 0 ? NULL : fdopendir(again);

	if (d != NULL)
		return d;
	LOG(ERROR, "drop-box", F_ERRNO(errno));
	io_close(&again);
	return NULL;
}

/* NULL: the end (errno 0), or an error. */
static const char *
next_entry(DIR *d)
{
	const struct dirent *e;

	errno = 0;
	do
		e = readdir(d);
	while (e != NULL &&
	       (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0));
	return e == NULL ? NULL : e->d_name;
}

/* After next_entry's NULL.  0, or -1 (logged): there may be more. */
static int
end_of_entries(DIR *d)
{
	int error = errno;

	closedir(d);
	if (error == 0)
		return 0;
	LOG(ERROR, "drop-box", F_ERRNO(error));
	return -1;
}

static void
count_bad(void)
{
	DIR *d = entries_of(bad_fd);

	while (d != NULL && next_entry(d) != NULL)
		bad_count++;
	if (d != NULL)
		(void)end_of_entries(d); /* then it keeps some more of them */
}

void
boxfiles_open(int dirfd)
{
	new_fd = open_folder(dirfd, "new");
	if (new_fd < 0)
		die(EXITCODE_PERMANENT,
		    "run `postern init` first; the drop box has no folder new",
		    errno);
	work_fd = make_folder(dirfd, "work");
	bad_fd = make_folder(dirfd, "bad");
	count_bad();
}

/* By its descriptor, so that it is the folder that we have. */
int
boxfiles_watch(void)
{
	char text[64];
	struct buf path = BUF_ON(text);
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	buf_puts(&path, "/proc/self/fd/");
	buf_put_u64(&path, (uint64_t)new_fd);
	if (fd < 0 || inotify_add_watch(
			  fd, buf_cstr(&path), IN_MOVED_TO | IN_ONLYDIR) < 0)
		die(EXITCODE_TEMPORARY, "inotify", errno);
	return fd;
}

static void
must_sync(int fd)
{
	if (fsync(fd) < 0)
		die(EXITCODE_TEMPORARY, "a folder of the drop box", errno);
}

/* ---- what is no message ---- */

/* True the first time that this entry cannot be moved. */
static bool
is_news(const char *name)
{
	struct stat st;

	if (fstatat(new_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	for (size_t i = 0; i < left_count; i++)
		if (left[i] == st.st_ino)
			return false;
	if (left_count < LEFT_MAX)
		left[left_count++] = st.st_ino;
	return true;
}

static int
move_to_bad(int dirfd, const char *name, struct buf *kept)
{
	enum { TRIES = 16 };

	for (int i = 0; i < TRIES; i++) {
		buf_reset(kept);
		buf_put_hex64(kept, (uint64_t)clock_now_us());
		if (renameat2(dirfd, name, bad_fd, buf_cstr(kept),
			RENAME_NOREPLACE) == 0) {
			bad_count++;
			return 0;
		}
		if (errno != EEXIST)
			return -1;
	}
	return -1;
}

static bool
remove_entry(int dirfd, const char *name)
{
	return unlinkat(dirfd, name, 0) == 0 ||
	       unlinkat(dirfd, name, AT_REMOVEDIR) == 0;
}

static int64_t say_until;
static unsigned said, unsaid;

static void
begin_saying_anew(void)
{
	int64_t now = clock_mono_ms();

	if (now < say_until)
		return;
	if (unsaid > 0)
		LOG(ERROR, "drop-bad-more", F_NUM("lines", unsaid));
	say_until = now + SAY_MS;
	said = unsaid = 0;
}

bool
boxfiles_may_say(void)
{
	begin_saying_anew();
	if (said == SAY_MAX) {
		unsaid++;
		return false;
	}
	said++;
	return true;
}

static void
say_bad(const char *name, const char *why, struct str kept, int error)
{
	if (!boxfiles_may_say())
		return;
	if (error == 0)
		LOG(ERROR, "drop-bad", F_TEXT("file", name), F_TEXT("why", why),
		    F_STR("kept", kept));
	else
		LOG(ERROR, "drop-bad", F_TEXT("file", name), F_TEXT("why", why),
		    F_STR("kept", kept), F_ERRNO(error));
}

enum aside {
	ASIDE_KEEP, /* however much is there already */
	ASIDE_FEW,  /* not too many of them */
	ASIDE_REMOVE
};

/* why: what is wrong with it. */
static void
put_aside(int dirfd, const char *name, const char *why, enum aside how)
{
	char text[BAD_NAME];
	struct buf kept = BUF_ON(text);
	bool keep =
	    how == ASIDE_KEEP || (how == ASIDE_FEW && bad_count < BAD_MAX);

	if (keep && move_to_bad(dirfd, name, &kept) == 0)
		say_bad(name, why, buf_str(&kept), 0);
	else if (how != ASIDE_KEEP && remove_entry(dirfd, name))
		say_bad(name, why, STR("no: removed"), 0);
	else if (errno != ENOENT && (dirfd != new_fd || is_news(name)))
		say_bad(name, why, STR("where it is"), errno);
}

/* ---- work/ ---- */

static const char *
work_name(struct buf *b, const struct boxfile *f)
{
	buf_put_hex64(b, f->key);
	buf_putc(b, '.');
	buf_put_u64(b, f->uid);
	return buf_cstr(b);
}

static bool
parse_work_name(struct str name, struct boxfile *f)
{
	struct str key, uid;
	uint64_t u;

	if (!str_cut(name, '.', &key, &uid) || !str_hex64(key, &f->key) ||
	    !str_u64(uid, UINT32_MAX, &u))
		return false;
	f->uid = (uint32_t)u;
	f->state = BOXFILE_WAITS;
	return true;
}

int
boxfiles_list(struct boxfiles *list)
{
	DIR *d = entries_of(work_fd);
	const char *name;

	list->count = 0;
	if (d == NULL)
		return -1;
	while ((name = next_entry(d)) != NULL) {
		struct boxfile *f = &list->file[list->count];

		if (!parse_work_name(str_of(name), f))
			put_aside(work_fd, name, "not of pickup", ASIDE_KEEP);
		else if (++list->count == BOXFILES_MAX)
			die(EXITCODE_PERMANENT,
			    "more files in work of the drop box than pickup "
			    "ever puts there",
			    0);
	}
	return end_of_entries(d);
}

/* ---- new/ ---- */

/* NULL: it may be a message; else what is wrong. */
static const char *
wrong_with(const struct stat *st, uint32_t uid)
{
	if (!S_ISREG(st->st_mode))
		return "no regular file";
	if (st->st_nlink != 1)
		return "has another name";
	return st->st_uid == uid ? NULL : "of another user";
}

/* What a writer left that died. */
static void
sweep_file(const char *name, const struct stat *st)
{
	if (clock_now() - st->st_mtime < STALE_S || !S_ISREG(st->st_mode))
		return;
	int fd = openat(new_fd, name,
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat now, at;

	/* with the lock held the name stays what it is: see dropbox.c */
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 &&
	    fstat(fd, &now) == 0 && now.st_mtime == st->st_mtime &&
	    fstatat(new_fd, name, &at, AT_SYMLINK_NOFOLLOW) == 0 &&
	    at.st_ino == now.st_ino && unlinkat(new_fd, name, 0) == 0)
		LOG(INFO, "drop-swept", F_TEXT("file", name),
		    F_NUM("size", st->st_size));
	io_close(&fd);
}

/* True when it was moved to work/ and is in *f. */
static bool
take_file(const char *name, uint32_t uid, struct boxfile *f)
{
	char text[WORK_NAME];
	struct buf to = BUF_ON(text);

	*f = (struct boxfile){ .uid = uid, .state = BOXFILE_WAITS };
	if (getrandom(&f->key, sizeof(f->key), 0) != sizeof(f->key))
		die(EXITCODE_TEMPORARY, "getrandom", errno);
	if (renameat2(new_fd, name, work_fd, work_name(&to, f),
		RENAME_NOREPLACE) == 0)
		return true;
	if (errno != ENOENT)
		LOG(ERROR, "drop-box", F_TEXT("file", name), F_ERRNO(errno));
	return false;
}

/* True when it was taken. */
static bool
look_at(const char *name, bool sweep, struct boxfile *f)
{
	struct dropname n = { .uid = 0 };
	struct stat st;
	bool named = dropname_parse(str_of(name), &n);

	if (named && n.tmp && !sweep)
		return false;
	if (fstatat(new_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false; /* gone again */
	const char *wrong = !named ? "strange name" : wrong_with(&st, n.uid);
	if (wrong != NULL)
		put_aside(new_fd, name, wrong,
		    S_ISREG(st.st_mode) ? ASIDE_FEW : ASIDE_REMOVE);
	else if (n.tmp)
		sweep_file(name, &st);
	else
		return take_file(name, n.uid, f);
	return false;
}

int
boxfiles_take(struct boxfiles *list, bool sweep)
{
	DIR *d = entries_of(new_fd);
	const char *name = "";
	int taken = 0, result = 0;

	if (d == NULL)
		return -1;
	while (taken < BOXFILES_BATCH && list->count + 1 < BOXFILES_MAX &&
	       (name = next_entry(d)) != NULL)
		if (look_at(name, sweep, &list->file[list->count])) {
			list->count++;
			taken++;
		}
	if (name == NULL)
		result = end_of_entries(d);
	else
		closedir(d);
	if (taken == 0)
		return result;
	/* no key may be in the queue whose file could have its old name after
	 * a power cut */
	must_sync(work_fd);
	must_sync(new_fd);
	return taken;
}

/* ---- one of them ---- */

int
boxfiles_read(const struct boxfile *f, uint64_t *size)
{
	char text[WORK_NAME];
	struct buf name = BUF_ON(text);
	struct stat st;
	int fd = openat(work_fd, work_name(&name, f),
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0) {
		int error = errno;

		io_close(&fd);
		bool ours =
		    error == ENOMEM || error == EMFILE || error == ENFILE;
		errno = ours ? error : EBADF;
		return -1;
	}
	if (wrong_with(&st, f->uid) != NULL) {
		close(fd);
		errno = EBADF;
		return -1;
	}
	*size = (uint64_t)st.st_size;
	return fd;
}

void
boxfiles_end(const struct boxfiles *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct boxfile *f = &list->file[i];
		char text[WORK_NAME];
		struct buf b = BUF_ON(text);
		const char *name = work_name(&b, f);

		if (f->state == BOXFILE_TAKEN &&
		    unlinkat(work_fd, name, 0) < 0 && errno != ENOENT)
			die(EXITCODE_TEMPORARY, "work of the drop box", errno);
		if (f->state == BOXFILE_REFUSED)
			put_aside(
			    work_fd, name, "refused for good", ASIDE_KEEP);
		if (f->state == BOXFILE_BAD)
			put_aside(work_fd, name, "no message", ASIDE_FEW);
	}
	must_sync(bad_fd);
	must_sync(work_fd);
}
