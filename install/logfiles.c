/* SPDX-License-Identifier: ISC
 * logfiles: contract in logfiles.h.
 */
#include "install/logfiles.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include "common/buf.h"
#include "common/io.h"
#include "install/running.h"

enum { PATH_ROOM = 1024, PART = 256 * 1024, LINE_MAX_BYTES = 65536 };

static struct {
	char path[PATH_ROOM];
	uint64_t size; /* on the disk */
	bool told;     /* what is wrong with it; it is read several times */
} files[LOGFILES_MAX];
static size_t file_count;
static uint64_t total;

static bool
complain(const char *path, const char *what)
{
	fprintf(stderr, "postern trace: %s: %s\n", path, what);
	return false;
}

/* What the system says of a log file. */
static const char *
said(int error)
{
	static char text[160];

	(void)snprintf(text, sizeof(text), "%s: %s", strerror(error),
	    error == EACCES ? "look as root, or as a member of its group"
			    : "give the log with --log FILE");
	return text;
}

static bool
complain_once(size_t file, const char *what)
{
	if (!files[file].told)
		(void)complain(files[file].path, what);
	files[file].told = true;
	return false;
}

/* False: it is not there (errno), or there are too many. */
static bool
add_one(const char *path)
{
	struct stat st = { .st_size = 0 };

	if (file_count == LOGFILES_MAX || strlen(path) >= PATH_ROOM) {
		errno = ENAMETOOLONG;
		return false;
	}
	if (strcmp(path, "-") != 0 && stat(path, &st) < 0)
		return false;
	struct buf b = BUF_ON(files[file_count].path);
	buf_puts(&b, path);
	files[file_count].path[b.n] = '\0';
	files[file_count].size = (uint64_t)st.st_size;
	total += files[file_count++].size;
	return true;
}

static void
add_rotated(const char *path)
{
	static const char *const ends[] = { "", ".gz" };

	for (int i = LOGFILES_MAX / 2; i > 0; i--) {
		for (size_t e = 0; e < N_ELEMENTS(ends); e++) {
			static char name[PATH_ROOM];
			int n = snprintf(
			    name, sizeof(name), "%s.%d%s", path, i, ends[e]);
			if (n > 0 && n < PATH_ROOM)
				(void)add_one(name); /* most are not there */
		}
	}
}

bool
logfiles_add(const char *path, bool rotated)
{
	if (rotated && strcmp(path, "-") != 0)
		add_rotated(path);
	return add_one(path) || complain(path, said(errno));
}

/* What start was told, for those who may not see its descriptors: the owner of
 * a one-user suite. */
static bool
told_to_start(int pid, char target[static PATH_ROOM])
{
	static char args[4096];
	char name[64];

	snprintf(name, sizeof(name), "/proc/%d/cmdline", pid);
	int64_t n = io_read_file(AT_FDCWD, name, args, sizeof(args));
	struct str rest = { .p = args, .n = n > 0 ? (size_t)n : 0 };
	bool is_log = false;
	for (size_t end; rest.n > 0; rest = str_skip(rest, end + 1)) {
		const char *nul = memchr(rest.p, '\0', rest.n);
		if (nul == NULL)
			return false;
		end = (size_t)(nul - rest.p);
		if (is_log && rest.p[0] == '/' && end < PATH_ROOM) {
			memcpy(target, rest.p, end + 1);
			return true;
		}
		is_log = strcmp(rest.p, "--log") == 0;
	}
	return false;
}

const char *
logfiles_of_suite(void)
{
	static char target[PATH_ROOM];
	static struct running rows[RUNNING_MAX];
	char name[64];
	int n = running_read(rows);

	if (n <= 0) {
		fputs(
		    "postern trace: the suite does not run, so its log is not "
		    "known: give it with --log FILE\n",
		    stderr);
		return NULL;
	}
	snprintf(name, sizeof(name), "/proc/%d/fd/2", (int)rows[0].pid);
	ssize_t got = readlink(name, target, sizeof(target) - 1);
	if (got >= 0) {
		target[got] = '\0';
	} else if (errno != EACCES ||
		   !told_to_start((int)rows[0].pid, target)) {
		fprintf(stderr,
		    "postern trace: %s: %s: give the log with --log FILE\n",
		    name, strerror(errno));
		return NULL;
	}
	struct stat st;
	bool there = stat(target, &st) == 0;
	if (there && S_ISREG(st.st_mode))
		return target;
	if (!there && errno == EACCES) {
		(void)complain(target, said(EACCES));
		return NULL;
	}
	fputs("postern trace: the suite's log does not go to a file: give it "
	      "with --log FILE, or pipe it in, as in\n"
	      "    journalctl -o cat -u postern | postern trace --log - ...\n",
	    stderr);
	return NULL;
}

bool
logfiles_can_repeat(void)
{
	for (size_t i = 0; i < file_count; i++)
		if (strcmp(files[i].path, "-") == 0)
			return false;
	return true;
}

/* Gives the whole lines in part to `each`; the bytes of a last, open one. */
static size_t
give_lines(struct str part, void (*each)(struct str line))
{
	const char *lf;

	while (part.n > 0 && (lf = memchr(part.p, '\n', part.n)) != NULL) {
		size_t n = (size_t)(lf - part.p);
		each(str_head(part, n));
		part = str_skip(part, n + 1);
	}
	return part.n;
}

static bool
read_file(gzFile f, size_t file, void (*each)(struct str line),
    void (*progress)(uint64_t at, uint64_t end), uint64_t before)
{
	static char space[LINE_MAX_BYTES + PART];
	size_t have = 0;
	int n;

	while ((n = gzread(f, space + have, PART)) > 0) {
		struct str all = { .p = space, .n = have + (size_t)n };
		have = give_lines(all, each);
		struct str rest = str_skip(all, all.n - have);
		if (have >= LINE_MAX_BYTES) {
			each(rest);
			have = 0;
		}
		memmove(space, rest.p, have);
		z_off_t at = gzoffset(f);
		if (progress != NULL && at > 0)
			progress(before + (uint64_t)at, total);
	}
	if (have > 0)
		each((struct str){ .p = space, .n = have });
	int error = Z_OK;
	const char *why = gzerror(f, &error);
	if (error == Z_BUF_ERROR) {
		(void)complain_once(
		    file, "ends early: cut off, or still being written");
		return true;
	}
	if (n < 0)
		return complain_once(
		    file, error == Z_ERRNO ? strerror(errno) : why);
	return true;
}

bool
logfiles_read(
    void (*each)(struct str line), void (*progress)(uint64_t at, uint64_t end))
{
	uint64_t before = 0;
	bool ok = true;

	for (size_t i = 0; i < file_count; i++) {
		const char *path = files[i].path;
		bool in = strcmp(path, "-") == 0;
		gzFile f =
		    in ? gzdopen(dup(STDIN_FILENO), "rb") : gzopen(path, "rbe");
		if (f == NULL) {
			ok = complain_once(i, said(errno));
			continue;
		}
		(void)gzbuffer(f, PART);
		ok = read_file(f, i, each, progress, before) && ok;
		(void)gzclose_r(f); /* read only */
		before += files[i].size;
	}
	return ok;
}
