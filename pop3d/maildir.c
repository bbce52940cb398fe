/* SPDX-License-Identifier: ISC
 * maildir: opens a maildrop (contract in maildrop.h) and finds messages again
 * (maildir.h).
 */
#include "pop3d/maildir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>
#include "common/io.h"
#include "pop3d/name.h"

enum { ARENA_STEP = 256 * 1024, LOCK_WAIT_S = 2 };

/* Every message may be renamed by another reader once or twice. */
#define NAMES_RESERVED ((size_t)MAILDROP_MESSAGES_MAX * 512)

static const char *const folders[] = { "new", "cur" };

/* ---- memory: reserved first, made usable in steps, never moved ---- */

static int
arena_reserve(struct maildrop_arena *a, size_t reserved)
{
	void *p = mmap(NULL, reserved, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -1;
	*a = (struct maildrop_arena){ .p = p, .reserved = reserved };
	return 0;
}

/* n more bytes at the end; NULL with ENOMEM. */
static char *
arena_take(struct maildrop_arena *a, size_t n)
{
	if (n > a->reserved - a->n) {
		errno = ENOMEM;
		return NULL;
	}
	size_t end = a->n + n;
	if (end > a->committed) {
		size_t to = (end + ARENA_STEP - 1) / ARENA_STEP * ARENA_STEP;
		if (to > a->reserved)
			to = a->reserved;
		if (mprotect(a->p + a->committed, to - a->committed,
			PROT_READ | PROT_WRITE) != 0)
			return NULL;
		a->committed = to;
	}
	char *p = a->p + a->n;
	a->n = end;
	return p;
}

static void
on_alarm(int sig)
{
	(void)sig;
}

int
maildrop_reserve(struct maildrop *m, char *scratch)
{
	size_t records =
	    sizeof(struct maildrop_message) * MAILDROP_MESSAGES_MAX;

	/* without SA_RESTART: it only ends the wait for the lock */
	const struct sigaction sa = { .sa_handler = on_alarm };
	if (sigaction(SIGALRM, &sa, NULL) != 0)
		return -1;
	*m = (struct maildrop){ .dirfd = -1,
		.folder_fd = { -1, -1 },
		.lock_fd = -1,
		.scratch = scratch };
	if (arena_reserve(&m->records, records) != 0 ||
	    arena_reserve(&m->order, records) != 0 ||
	    arena_reserve(&m->names, NAMES_RESERVED) != 0)
		return -1;
	return 0;
}

/* ---- reading a directory ---- */

static bool
is_message(const struct dirent64 *e)
{
	return e->d_name[0] != '.' && strlen(e->d_name) <= NAME_MAX &&
	       (e->d_type == DT_REG || e->d_type == DT_UNKNOWN);
}

/* Calls each for every message file.  0; -1 with errno; or what each returned
 * if that was not 0. */
static int
read_folder(struct maildrop *m, enum maildrop_folder f,
    int (*each)(struct maildrop *, enum maildrop_folder, struct str name))
{
	int fd = m->folder_fd[f];

	if (lseek(fd, 0, SEEK_SET) < 0)
		return -1;
	for (;;) {
		ssize_t n = getdents64(fd, m->scratch, MAILDROP_SCRATCH);
		if (n <= 0)
			return (int)n;
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *e =
			    (const void *)(m->scratch + at);
			at += e->d_reclen;
			int r =
			    is_message(e) ? each(m, f, str_of(e->d_name)) : 0;
			if (r != 0)
				return r;
		}
	}
}

static int
set_name(struct maildrop *m, struct maildrop_message *msg, struct str name)
{
	char *p = arena_take(&m->names, name.n + 1);

	if (p == NULL)
		return -1;
	memcpy(p, name.p, name.n);
	p[name.n] = '\0';
	msg->name = (uint32_t)(p - m->names.p);
	msg->name_n = (uint8_t)name.n;
	msg->unique_n = (uint8_t)name_unique(name).n;
	return 0;
}

static int
add_message(struct maildrop *m, enum maildrop_folder f, struct str name)
{
	if (m->count == MAILDROP_MESSAGES_MAX)
		return MAILDROP_TOO_MANY;
	char *p = arena_take(&m->records, sizeof(struct maildrop_message));
	if (p == NULL)
		return -1;
	struct maildrop_message *msg = &m->messages[m->count];
	*msg = (struct maildrop_message){ .octets = MAILDROP_UNKNOWN,
		.folder = (uint8_t)f };
	if (set_name(m, msg, name) != 0)
		return -1;
	msg->time = name_time(name);
	(void)name_wire_octets(name, &msg->octets);
	m->count++;
	return 0;
}

/* ---- order: time in the name, then the unique part, new/ before cur/ ---- */

static struct str
unique_of(const struct maildrop *m, const struct maildrop_message *msg)
{
	return (struct str){ .p = m->names.p + msg->name, .n = msg->unique_n };
}

static int
compare(const struct maildrop *m, const struct maildrop_message *a,
    uint64_t time, struct str unique)
{
	if (a->time != time)
		return a->time < time ? -1 : 1;
	return str_cmp(unique_of(m, a), unique);
}

static bool
in_order(const struct maildrop *m, const struct maildrop_message *a,
    const struct maildrop_message *b)
{
	int c = compare(m, a, b->time, unique_of(m, b));

	return c < 0 || (c == 0 && a->folder <= b->folder);
}

/* Merges from[lo..mid) and from[mid..hi) into to[lo..hi). */
static void
merge(const struct maildrop *m, const struct maildrop_message *from,
    struct maildrop_message *to, size_t lo, size_t mid, size_t hi)
{
	size_t a = lo, b = mid;

	for (size_t i = lo; i < hi; i++) {
		bool left =
		    b == hi || (a < mid && in_order(m, &from[a], &from[b]));
		to[i] = left ? from[a++] : from[b++];
	}
}

/* Bottom-up merge sort between the records and the space beside them (qsort(3)
 * takes heap).  -1 with errno. */
static int
sort_messages(struct maildrop *m)
{
	size_t n = m->count;

	if (n == 0)
		return 0;
	struct maildrop_message *from = m->messages;
	struct maildrop_message *to =
	    (void *)arena_take(&m->order, n * sizeof(*to));
	if (to == NULL)
		return -1;
	for (size_t width = 1; width < n; width *= 2) {
		for (size_t lo = 0; lo < n; lo += 2 * width) {
			size_t mid = lo + width < n ? lo + width : n;
			size_t hi = mid + width < n ? mid + width : n;
			merge(m, from, to, lo, mid, hi);
		}
		struct maildrop_message *swap = from;
		from = to;
		to = swap;
	}
	m->messages = from;
	return 0;
}

static bool
is_there(const struct maildrop *m, const struct maildrop_message *msg)
{
	struct stat st;

	return fstatat(m->folder_fd[msg->folder], m->names.p + msg->name, &st,
		   AT_SYMLINK_NOFOLLOW) == 0;
}

/* Two entries with one unique part: a message that was moved while the folders
 * were read (then one of the files is not there), or a copy that somebody made
 * (then both are mail, and the second gets a unique-id of its own). */
static void
drop_doubles(struct maildrop *m)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < m->count; i++) {
		struct maildrop_message *msg = &m->messages[i];
		struct maildrop_message *last =
		    kept > 0 ? &m->messages[kept - 1] : NULL;
		bool same = last != NULL &&
			    str_eq(unique_of(m, last), unique_of(m, msg));
		if (same && !is_there(m, msg))
			continue;
		if (same && !last->twin && !is_there(m, last))
			kept--;
		else
			msg->twin = same;
		m->messages[kept++] = *msg;
	}
	m->count = kept;
}

/* ---- opening ---- */

/* A directory that was made must outlive a power cut before mail is delivered
 * into it. */
static int
sync_directory(int fd)
{
	int readable = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (readable < 0)
		return -1;
	int r = fsync(readable);
	int saved = errno;
	close(readable);
	errno = saved;
	return r;
}

/* Opens the directory `name`, which is no symbolic link, or makes it first. */
static int
make_and_open(int base_fd, const char *name, bool create, int flags)
{
	flags |= O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int fd = openat(base_fd, name, flags);

	if (fd >= 0 || errno != ENOENT || !create)
		return fd;
	if ((mkdirat(base_fd, name, 0700) != 0 && errno != EEXIST) ||
	    sync_directory(base_fd) != 0)
		return -1;
	return openat(base_fd, name, flags);
}

/* One step down a path; the owner may search a directory above his Maildir
 * without being allowed to list it. */
static int
step_down(int fd, struct str part, bool last, bool create)
{
	char text[NAME_MAX + 1];
	struct buf name = BUF_ON(text);

	buf_put(&name, part);
	const char *cname = buf_cstr(&name);
	if (cname == NULL || part.n == 0 || str_eq(part, STR("..")) ||
	    str_eq(part, STR("."))) {
		errno = EINVAL;
		return -1;
	}
	return make_and_open(fd, cname, create, last ? O_RDONLY : O_PATH);
}

int
maildrop_find(int base_fd, struct str path, bool create)
{
	int fd = base_fd;
	struct str part, rest = path;

	while (rest.n > 0 && rest.p[rest.n - 1] == '/')
		rest.n--;
	do {
		(void)str_cut(rest, '/', &part, &rest);
		int next = step_down(fd, part, rest.n == 0, create);
		int saved = errno;
		if (fd != base_fd)
			close(fd);
		errno = saved;
		fd = next;
	} while (fd >= 0 && rest.n > 0);
	return fd;
}

/* Waits for another session that is about to end: flock(2) hands the lock over
 * in order, and the timer (it repeats, in case it went off just before flock)
 * ends the wait.  0, or -1 with errno EINTR. */
static int
wait_for_lock(int fd)
{
	const struct itimerval wait = { .it_value = { .tv_sec = LOCK_WAIT_S },
		.it_interval = { .tv_usec = 100000 } };
	const struct itimerval off = { 0 };

	if (setitimer(ITIMER_REAL, &wait, NULL) != 0)
		return -1;
	int r = flock(fd, LOCK_EX);
	int saved = errno;
	(void)setitimer(ITIMER_REAL, &off, NULL);
	errno = saved;
	return r;
}

/* The lock is the descriptor's: it ends with the process, however that ends. */
static enum maildrop_status
lock(struct maildrop *m)
{
	m->lock_fd = openat(m->dirfd, "postern-pop3.lock",
	    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
	if (m->lock_fd < 0)
		return MAILDROP_FAILED;
	if (flock(m->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return MAILDROP_OK;
	if (errno == EWOULDBLOCK && wait_for_lock(m->lock_fd) == 0)
		return MAILDROP_OK;
	return errno == EINTR ? MAILDROP_IN_USE : MAILDROP_FAILED;
}

static enum maildrop_status
read_messages(struct maildrop *m)
{
	m->messages = (void *)m->records.p;
	for (enum maildrop_folder f = MAILDROP_NEW; f <= MAILDROP_CUR; f++) {
		int r = read_folder(m, f, add_message);
		if (r != 0)
			return r < 0 ? MAILDROP_FAILED : MAILDROP_TOO_MANY;
	}
	if (sort_messages(m) != 0)
		return MAILDROP_FAILED;
	drop_doubles(m);
	return MAILDROP_OK;
}

/* Keeps new/ and cur/; tmp/ is made for those who deliver. */
static enum maildrop_status
open_folders(struct maildrop *m, bool create, const char **what)
{
	*what = "tmp";
	int tmp_fd = make_and_open(m->dirfd, "tmp", create, O_PATH);
	if (tmp_fd < 0 && create)
		return MAILDROP_FAILED;
	io_close(&tmp_fd);
	for (int f = MAILDROP_NEW; f <= MAILDROP_CUR; f++) {
		*what = folders[f];
		m->folder_fd[f] =
		    make_and_open(m->dirfd, folders[f], create, O_RDONLY);
		if (m->folder_fd[f] < 0)
			return MAILDROP_FAILED;
	}
	return MAILDROP_OK;
}

enum maildrop_status
maildrop_open(struct maildrop *m, int dirfd, bool create, const char **what)
{
	m->dirfd = dirfd;
	enum maildrop_status s = open_folders(m, create, what);
	if (s != MAILDROP_OK)
		return s;
	*what = "lock";
	s = lock(m);
	if (s != MAILDROP_OK)
		return s;
	*what = "reading";
	return read_messages(m);
}

/* ---- finding again ---- */

/* The first message of that unique part; m->count when there is none. */
static uint32_t
find_unique(const struct maildrop *m, struct str unique)
{
	uint32_t lo = 0, hi = m->count;
	uint64_t time = name_time(unique);

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (compare(m, &m->messages[mid], time, unique) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < m->count && !str_eq(unique_of(m, &m->messages[lo]), unique))
		lo = m->count;
	return lo;
}

static int
note_place(struct maildrop *m, enum maildrop_folder f, struct str name)
{
	struct str unique = name_unique(name);

	/* twins are next to each other: the first that is still unseen */
	for (uint32_t i = find_unique(m, unique);
	     i < m->count && str_eq(unique_of(m, &m->messages[i]), unique);
	     i++) {
		struct maildrop_message *msg = &m->messages[i];
		if (msg->seen)
			continue;
		struct str now = { .p = m->names.p + msg->name,
			.n = msg->name_n };
		if (!str_eq(now, name) && set_name(m, msg, name) != 0)
			return -1;
		msg->folder = (uint8_t)f;
		msg->seen = true;
		break;
	}
	return 0;
}

int
maildir_relocate(struct maildrop *m)
{
	for (uint32_t i = 0; i < m->count; i++)
		m->messages[i].seen = false;
	for (enum maildrop_folder f = MAILDROP_NEW; f <= MAILDROP_CUR; f++)
		if (read_folder(m, f, note_place) != 0)
			return -1;
	for (uint32_t i = 0; i < m->count; i++)
		m->messages[i].gone = !m->messages[i].seen;
	return 0;
}
