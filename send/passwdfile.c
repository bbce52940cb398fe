/* SPDX-License-Identifier: ISC
 * passwdfile: contract in passwdfile.h.  Runs in become, as root: the two files
 * are root's own, and what is wrong in them is left to getpwnam.
 */
#include "send/passwdfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "common/buf.h"
#include "common/io.h"

enum {
	ORDER_MAX = 16 * 1024,
	PLACES_MIN = 64,
	LINE_MIN = 8 /* shorter ones are no accounts */
};

/* ---- the texts ---- */

static bool
put_field(char *to, size_t cap, struct str field)
{
	struct buf b = { .p = to, .cap = cap };
	buf_put(&b, field);
	return buf_cstr(&b) != NULL;
}

bool
passwdfile_parse(struct str line, struct account *out)
{
	struct str fields[6]; /* name password uid gid gecos home; shell */
	for (size_t i = 0; i < N_ELEMENTS(fields); i++)
		if (!str_cut(line, ':', &fields[i], &line))
			return false;
	uint64_t uid, gid;
	if (fields[0].n == 0 || !str_u64(fields[2], UINT32_MAX - 1, &uid) ||
	    !str_u64(fields[3], UINT32_MAX - 1, &gid))
		return false;
	out->uid = (uid_t)uid;
	out->gid = (gid_t)gid;
	return put_field(out->name, sizeof(out->name), fields[0]) &&
	       put_field(out->home, sizeof(out->home), fields[5]);
}

bool
passwdfile_is_first(struct str order)
{
	struct str line;
	while (str_line(&order, &line)) {
		line = str_trim(line);
		if (!str_starts(line, STR("passwd:")))
			continue;
		struct str source = str_trim(str_skip(line, 7));
		return str_starts(source, STR("files")) &&
		       (source.n == 5 || source.p[5] == ' ' ||
			   source.p[5] == '\t');
	}
	return true;
}

/* ---- the places ---- */

static uint32_t *
places_of(const struct passwdfile *f)
{
	return (uint32_t *)(void *)(f->space + f->space_n -
				    f->places * sizeof(uint32_t));
}

static size_t
hash(struct str name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
	for (size_t i = 0; i < name.n; i++)
		h = (h ^ (unsigned char)name.p[i]) * UINT64_C(0x100000001b3);
	return (size_t)(h ^ h >> 32);
}

/* The line that begins there, and the name in it. */
static struct str
line_at(const struct passwdfile *f, size_t at, struct str *name)
{
	struct str rest = { .p = f->space + at, .n = f->text_n - at }, line;
	struct str tail;
	if (!str_line(&rest, &line))
		line = (struct str){ .p = rest.p, .n = 0 };
	(void)str_cut(line, ':', name, &tail);
	return line;
}

/* The place of this name, or the free one where it belongs; half of them are
 * free.  Places hold offsets into the text, from 1. */
static uint32_t *
place_for(const struct passwdfile *f, struct str name)
{
	uint32_t *places = places_of(f);
	size_t i = hash(name) & (f->places - 1);
	for (; places[i] != 0; i = (i + 1) & (f->places - 1)) {
		struct str there;
		(void)line_at(f, places[i] - 1, &there);
		if (str_eq(there, name))
			break;
	}
	return &places[i];
}

static void
fill_places(struct passwdfile *f)
{
	for (size_t at = 0; at < f->text_n;) {
		struct str name;
		struct str line = line_at(f, at, &name);
		uint32_t *place = line.n < LINE_MIN ? NULL : place_for(f, name);
		if (place != NULL && *place == 0) /* the first counts */
			*place = (uint32_t)(at + 1);
		at += line.n + 1;
	}
}

/* ---- reading ---- */

static void
forget(struct passwdfile *f)
{
	if (f->space != NULL)
		(void)munmap(f->space, f->space_n);
	f->space = NULL;
	f->usable = false;
}

/* Shared memory is not copied for every child, and this not even seen there. */
static bool
make_space(struct passwdfile *f)
{
	const size_t unit = sizeof(uint32_t);
	f->text_n = (size_t)f->seen.st_size;
	f->places = PLACES_MIN;
	while (f->places < 2 * (f->text_n / LINE_MIN + 1))
		f->places *= 2;
	f->space_n = (f->text_n / unit + 1 + f->places) * unit;
	f->space = mmap(NULL, f->space_n, PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (f->space == MAP_FAILED)
		f->space = NULL;
	return f->space != NULL &&
	       madvise(f->space, f->space_n, MADV_DONTFORK) == 0;
}

static bool
read_text(struct passwdfile *f)
{
	int fd = open(f->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool done = make_space(f) && io_pread_all(fd, f->space, f->text_n, 0) ==
					 (int64_t)f->text_n;
	close(fd);
	return done;
}

static bool
files_are_first(const struct passwdfile *f)
{
	static char text[ORDER_MAX];
	int64_t n = io_read_file(AT_FDCWD, f->order_path, text, sizeof(text));
	if (n < 0)
		return errno == ENOENT;
	return passwdfile_is_first((struct str){ .p = text, .n = (size_t)n });
}

/* A missing file is as good as an empty one that never changes. */
static bool
look(const char *path, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	return stat(path, st) == 0 || errno == ENOENT;
}

static bool
same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
	       a->st_size == b->st_size &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Changed just now: it may be changed again without a sign of that. */
static bool
is_young(const struct stat *st)
{
	return st->st_ctim.tv_sec + PASSWDFILE_YOUNG_S > time(NULL);
}

static bool
is_known(struct passwdfile *f)
{
	struct stat now, order;
	if (!look(f->path, &now) || !look(f->order_path, &order))
		return false;
	if (same(&now, &f->seen) && same(&order, &f->order_seen))
		return f->usable;
	if (is_young(&now) || is_young(&order))
		return false;
	forget(f);
	f->seen = now;
	f->order_seen = order;
	if (!S_ISREG(now.st_mode) || now.st_size == 0 ||
	    now.st_size > PASSWDFILE_MAX || !files_are_first(f) ||
	    !read_text(f)) {
		forget(f);
		return false;
	}
	fill_places(f);
	f->usable = true;
	return true;
}

bool
passwdfile_find(struct passwdfile *f, struct str name, struct account *out)
{
	if (!is_known(f))
		return false;
	uint32_t place = *place_for(f, name);
	struct str there;
	return place != 0 &&
	       passwdfile_parse(line_at(f, place - 1, &there), out);
}
