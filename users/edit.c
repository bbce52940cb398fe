/* SPDX-License-Identifier: ISC
 * edit: see the header.  Runs as the administrator.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "common/advice.h"
#include "common/exitcode.h"
#include "common/io.h"
#include "common/layout.h"
#include "common/packet.h"
#include "common/verdict.h"
#include "users/edit.h"
#include "users/line.h"

enum { LOCK_TRIES = 300, LOCK_PAUSE_NS = 100000000, RELOAD_MS = 60 * 1000 };

int
edit_fail(int code, const char *what, struct str about)
{
	(void)fprintf(stderr, "postern: %s%s%.*s\n", what, about.n ? ": " : "",
	    (int)about.n, about.n ? about.p : "");
	return code;
}

/* A file: why, and what to do. */
static int
fail_errno(const char *what)
{
	int error = errno;
	(void)fprintf(stderr, "postern: %s: %s: %s\n", what, strerror(error),
	    advice_file(error));
	return EXITCODE_TEMPORARY;
}

/* ---- opening ---- */

static int
take_lock(struct edit *e)
{
	const struct timespec pause = { .tv_nsec = LOCK_PAUSE_NS };
	e->lock_fd = openat(
	    e->dirfd, ".lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (e->lock_fd < 0)
		return fail_errno("cannot lock the tables");
	for (unsigned i = 0; i < LOCK_TRIES; i++) {
		if (flock(e->lock_fd, LOCK_EX | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return fail_errno("cannot lock the tables");
		(void)nanosleep(&pause, NULL);
	}
	return edit_fail(EXITCODE_TEMPORARY,
	    "another change of the tables does not end: end the other postern "
	    "user "
	    "or alias, then try again",
	    STR(""));
}

static int
read_text(struct edit *e, int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return edit_fail(EXITCODE_TEMPORARY,
		    "not a plain file: move it away", str_of(e->name));
	e->exists = true;
	e->uid = st.st_uid;
	e->gid = st.st_gid;
	e->mode = st.st_mode & 0777;
	size_t cap = (size_t)st.st_size + 1;
	e->text = malloc(cap);
	int64_t n = e->text ? io_slurp(fd, e->text, cap) : -1;
	if (n < 0)
		return fail_errno("cannot read the table");
	e->n = (size_t)n;
	return 0;
}

static int
read_table(struct edit *e)
{
	struct stat dir;
	int fd = openat(e->dirfd, e->name,
	    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0) {
		int code = read_text(e, fd);
		(void)close(fd);
		return code;
	}
	if (errno != ENOENT || fstat(e->dirfd, &dir) < 0)
		return fail_errno("cannot read the table");
	/* as the folder: its group, userd's, may read */
	e->uid = dir.st_uid;
	e->gid = dir.st_gid;
	e->mode = 0640;
	return 0;
}

int
edit_open(struct edit *e, const char *name, bool lock)
{
	*e = (struct edit){ .name = name, .lock_fd = -1 };
	e->dirfd =
	    open(layout_path(LAYOUT_USERS), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (e->dirfd < 0)
		return fail_errno(layout_path(LAYOUT_USERS));
	int code = lock ? take_lock(e) : 0;
	if (code == 0)
		code = read_table(e);
	if (code != 0)
		edit_close(e);
	return code;
}

void
edit_close(struct edit *e)
{
	io_close(&e->lock_fd);
	io_close(&e->dirfd);
	free(e->text);
	e->text = NULL;
}

/* ---- lines ---- */

bool
edit_user_address(struct str line, struct str *address)
{
	struct line_user u;
	bool good = line_user(line, &u) == NULL;
	*address = u.address;
	return good;
}

bool
edit_alias_address(struct str line, struct str *address)
{
	struct line_alias a;
	bool good = line_alias(line, &a) == NULL;
	*address = a.address;
	return good;
}

bool
edit_find(const struct edit *e, edit_address *address_of, struct str key,
    struct str *line)
{
	struct str rest = { .p = e->text, .n = e->n }, address;
	while (str_line(&rest, line)) {
		char room[LINE_KEY];
		struct buf found = BUF_ON(room);
		struct str inner = str_trim(*line);
		if (inner.n == 0 || inner.p[0] == '#' ||
		    !address_of(inner, &address))
			continue;
		line_put_key(&found, address);
		if (str_eq(buf_str(&found), key))
			return true;
	}
	return false;
}

/* ---- writing ---- */

/* The text with `old` replaced, in a buffer that the caller frees. */
static bool
build(const struct edit *e, struct str old, struct str new, struct buf *out)
{
	size_t cap = e->n + new.n + 4;
	*out = (struct buf){ .p = malloc(cap), .cap = cap };
	if (!out->p)
		return false;
	struct str all = { .p = e->text, .n = e->n };
	size_t at = old.n ? (size_t)(old.p - e->text) : e->n;
	buf_put(out, str_head(all, at));
	if (old.n == 0 && at > 0 && e->text[at - 1] != '\n')
		buf_putc(out, '\n');
	buf_put(out, new);
	if (new.n)
		buf_putc(out, '\n');
	/* without the old line's LF */
	buf_put(out, str_skip(all, at + old.n + 1));
	return !out->full;
}

/* Has a running userd read the tables; none running is no mistake. */
static int
tell_userd(void)
{
	char storage[1024];
	struct str answer;
	int fd = edit_userd();
	if (fd < 0 && (errno == ENOENT || errno == ECONNREFUSED))
		return 0;
	int r = fd < 0 ? -1
		       : packet_ask(fd, STR("H"), NULL, 0, storage,
			     sizeof(storage), RELOAD_MS, &answer);
	int error = errno;
	io_close(&fd);
	errno = error;
	if (r < 0)
		return edit_fail(EXITCODE_TEMPORARY,
		    "written, but userd does not answer: see postern status",
		    STR(""));
	struct packet p = packet_open(r == 0 ? STR("") : answer);
	if (p.type == VERDICT_OK && r > 0)
		return 0;
	struct str why = packet_get_str(&p, sizeof(storage));
	return edit_fail(EXITCODE_TEMPORARY,
	    "written, but userd keeps its old tables until this is mended",
	    why);
}

int
edit_change(struct edit *e, struct str old, struct str new)
{
	struct buf b;
	if (str_starts(new, STR("#")))
		return edit_fail(EXITCODE_PERMANENT,
		    "a line that begins with # would be a comment: put the "
		    "name in quotes",
		    new);
	if (!build(e, old, new, &b)) {
		free(b.p);
		return fail_errno("cannot build the table");
	}
	int code = edit_write(e, buf_str(&b));
	free(b.p);
	return code;
}

int
edit_write(struct edit *e, struct str text)
{
	/* the lock is ours: so is what a crash left */
	if (io_replace_file_of(
		e->dirfd, e->name, text, e->mode, e->uid, e->gid) < 0)
		return fail_errno("cannot write the table");
	return tell_userd();
}

int
edit_userd(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct buf path = { .p = sa.sun_path, .cap = sizeof(sa.sun_path) };
	int dir = open(layout_path(LAYOUT_RUN), O_PATH | O_CLOEXEC);
	if (dir < 0)
		return -1;
	/* the folder's own path may be longer than a socket's may be */
	buf_puts(&path, "/proc/self/fd/");
	buf_put_u64(&path, (uint64_t)dir);
	buf_puts(&path, "/users");
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bool good = fd >= 0 && buf_cstr(&path) &&
		    connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0;
	int error = errno;
	if (!good)
		io_close(&fd);
	io_close(&dir);
	errno = error;
	return fd;
}
