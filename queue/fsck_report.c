/* SPDX-License-Identifier: ISC
 * fsck_report: findings, ids and the small moves of fsck.h.
 */
#include "queue/fsck.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/advice.h"
#include "common/clock.h"
#include "common/io.h"
#include "install/json.h"
#include "install/progress.h"

enum { NAMES_TRIED = 100 };

/* ---- ids ---- */

void
ids_add(struct ids *ids, uint64_t id)
{
	if (ids->n == ids->cap) {
		size_t cap = ids->cap == 0 ? 1024 : ids->cap * 2;
		uint64_t *p = reallocarray(ids->id, cap, sizeof(*p));
		if (p == NULL)
			fsck_die("memory", errno);
		ids->id = p;
		ids->cap = cap;
	}
	ids->id[ids->n++] = id;
}

static int
compare(const void *a, const void *b)
{
	uint64_t x, y;
	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return x < y ? -1 : x > y;
}

void
ids_sort(struct ids *ids)
{
	if (ids->n > 0)
		qsort(ids->id, ids->n, sizeof(*ids->id), compare);
}

bool
ids_have(const struct ids *ids, uint64_t id)
{
	return ids->n > 0 &&
	       bsearch(&id, ids->id, ids->n, sizeof(*ids->id), compare) != NULL;
}

/* ---- findings ---- */

static void
json_text(const char *key, const char *s)
{
	printf(",\"%s\":", key);
	json_string(str_of(s));
}

/* Names come from a damaged directory, and senders from a stranger: nothing in
 * them reaches a terminal. */
static void
plain_text(const char *s)
{
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;
		if (c < 0x20 || c > 0x7e || c == '\\')
			printf("\\x%02x", c);
		else
			putchar(c);
	}
}

static void
line(const struct fsck *f, const char *state, const char *path,
    const char *what, const char *mend, const char *error)
{
	progress_wipe();
	if (f->json) {
		printf("{\"state\":\"%s\"", state);
		json_text("path", path);
		json_text("finding", what);
		if (mend != NULL)
			json_text("mend", mend);
		if (error != NULL)
			json_text("error", error);
		puts("}");
		return;
	}
	printf("%-7s ", state);
	plain_text(path);
	fputs(": ", stdout);
	plain_text(what);
	if (mend != NULL)
		printf("; %s", mend);
	if (error != NULL)
		printf(": %s", error);
	putchar('\n');
}

bool
fsck_mends(const struct fsck *f)
{
	return f->repair && !f->live;
}

void
fsck_found(struct fsck *f, const char *path, const char *what, const char *mend,
    int error)
{
	if (f->mute)
		return;
	if (error == FSCK_NO_MEND) {
		f->left++;
		line(f, "left", path, what, mend, NULL);
	} else if (error != 0) {
		f->left++;
		line(f, "failed", path, what, mend, strerror(error));
	} else if (fsck_mends(f)) {
		f->mended++;
		line(f, "mended", path, what, mend, NULL);
	} else {
		f->left++;
		line(f, "wrong", path, what, mend, NULL);
	}
}

void
fsck_note(struct fsck *f, const char *path, const char *text)
{
	if (f->mute)
		return;
	f->notes++;
	line(f, "note", path, text, NULL, NULL);
}

void
fsck_die(const char *what, int error)
{
	progress_end();
	(void)fflush(stdout); /* the message below says that not all is well */
	if (error == 0)
		fprintf(stderr, "postern-fsck: %s\n", what);
	else
		fprintf(stderr, "postern-fsck: %s: %s: %s\n", what,
		    strerror(error), advice_file(error));
	exit(FSCK_FAILED);
}

/* ---- moves ---- */

const char *
fsck_path(char out[FSCK_PATH], const char *dir, const char *name)
{
	struct buf b = { .p = out, .cap = FSCK_PATH };
	buf_puts(&b, dir);
	buf_putc(&b, '/');
	buf_puts(&b, name);
	if (buf_cstr(&b) == NULL)
		fsck_die("a path is too long", 0);
	return out;
}

int
fsck_sync_dir(const struct fsck *f, const char *name)
{
	int fd = openat(
	    f->dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno;
	int e = fsync(fd) < 0 ? errno : 0;
	io_close(&fd);
	return e;
}

int
fsck_set_aside(const struct fsck *f, const char *path, const char *name)
{
	char to[FSCK_PATH];
	for (unsigned i = 1; i <= NAMES_TRIED; i++) {
		struct buf b = BUF_ON(to);
		buf_puts(&b, "quarantine/");
		buf_puts(&b, name);
		if (i > 1) {
			buf_putc(&b, '.');
			buf_put_u64(&b, i);
		}
		if (buf_cstr(&b) == NULL)
			return ENAMETOOLONG;
		if (renameat2(f->dirfd, path, f->dirfd, to, RENAME_NOREPLACE) ==
		    0)
			return fsck_sync_dir(f, "quarantine");
		if (errno != EEXIST)
			return errno;
	}
	return EEXIST;
}

int
fsck_remove(const struct fsck *f, const char *path)
{
	return unlinkat(f->dirfd, path, 0) < 0 ? errno : 0;
}
