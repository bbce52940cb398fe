/* SPDX-License-Identifier: ISC
 * fsck_quarantine: which messages lie in quarantine/, whole; and putting them
 * back.  A file there is a message's own, or a piece of a segment.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/io.h"
#include "queue/fsck.h"
#include "queue/journal.h"
#include "queue/mend.h"
#include "queue/messfile.h"

enum { WHAT = 512 };
#define VOID UINT32_MAX /* stands for a recipient: the message is void */

/* What a piece of a segment holds. */
static struct {
	struct fsck *f;
	const char *path;
	struct mark *marks;
	size_t n, cap;
	bool restoring;
	uint64_t wanted; /* 0: all of them */
	uint64_t whole, done, restored;
} piece;

/* ---- what to say ---- */

static void
describe(char out[WHAT], const char *head, uint64_t id,
    const struct envelope *e, uint64_t size)
{
	(void)snprintf(out, WHAT,
	    "%s %016" PRIx64 ": from <%.*s>, %" PRIu32 " recipient%s, %" PRIu64
	    " bytes",
	    head, id, (int)e->sender.n, e->sender.p, envelope_addresses(e),
	    envelope_addresses(e) == 1 ? "" : "s", size);
}

static bool
in_queue(const struct fsck *f, uint64_t id)
{
	return ids_have(&f->files, id) || ids_have(&f->records, id);
}

static int
make_place(const struct fsck *f, uint64_t id, char name[MESS_NAME])
{
	char dir[MESS_NAME];
	mess_name(id, name);
	memcpy(dir, name, sizeof(dir));
	dir[7] = '\0';
	if (mkdirat(f->dirfd, dir, 0700) < 0 && errno != EEXIST)
		return errno;
	return fsck_sync_dir(f, "mess");
}

/* Gives the file at path its name in mess/, durably. */
static int
put_back(struct fsck *f, const char *path, uint64_t id)
{
	char name[MESS_NAME];
	int e = make_place(f, id, name);
	if (e == 0 &&
	    renameat2(f->dirfd, path, f->dirfd, name, RENAME_NOREPLACE) < 0)
		e = errno;
	name[7] = '\0';
	if (e == 0)
		e = fsck_sync_dir(f, name);
	if (e == 0) {
		ids_add(&f->files, id);
		ids_sort(&f->files);
	}
	return e;
}

static void
told_back(struct fsck *f, const char *path, const char *text, int error)
{
	if (error == EEXIST)
		fsck_note(f, path, "is in the queue already: left here");
	else
		fsck_found(f, path, text, "put it back", error);
}

/* ---- a message's own file ---- */

/* True when it is whole. */
static bool
own_file(struct fsck *f, const char *path, bool restore, uint64_t wanted)
{
	struct messfile m;
	char text[WHAT];
	if (messfile_open_at(f->dirfd, path, O_RDONLY, f->key, &m) < 0)
		return false;
	bool whole = messfile_body_ok(&m, f->key);
	uint64_t id = m.head.id;
	describe(text, whole ? "whole message" : "damaged body of message", id,
	    &m.envelope, m.head.body_n);
	messfile_close(&m);
	if (!whole || (restore && wanted != 0 && wanted != id)) {
		if (!restore && !f->quiet)
			fsck_note(f, path, text);
		return !restore;
	}
	if (restore)
		told_back(f, path, text,
		    in_queue(f, id) ? EEXIST : put_back(f, path, id));
	else if (!f->quiet)
		fsck_note(f, path, text);
	f->quarantined += !restore;
	return true;
}

/* ---- pieces of segments ---- */

static void
keep_mark(const struct mark *m)
{
	if (piece.n == piece.cap) {
		size_t cap = piece.cap == 0 ? 1024 : piece.cap * 2;
		struct mark *p =
		    reallocarray(piece.marks, cap, sizeof(*piece.marks));
		if (p == NULL)
			fsck_die("memory", errno);
		piece.marks = p;
		piece.cap = cap;
	}
	piece.marks[piece.n++] = *m;
}

static int
compare_marks(const void *a, const void *b)
{
	const struct mark *x = a, *y = b;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->idx < y->idx ? -1 : x->idx > y->idx;
}

static void
gather_marks(const struct mend_record *m)
{
	struct str rest = m->meta;
	struct mark mark;
	if (m->r.type == RECORD_MARKS || m->r.type == RECORD_VOID)
		while (mark_next(&rest, &mark)) {
			if (mark_is_hold(&mark))
				continue; /* who restores it wants it to go */
			if (m->r.type == RECORD_VOID)
				mark.idx = VOID;
			keep_mark(&mark);
		}
}

static bool
marked(uint64_t id, uint32_t idx)
{
	const struct mark m = { .id = id, .idx = idx };
	return piece.n > 0 && bsearch(&m, piece.marks, piece.n,
				  sizeof(*piece.marks), compare_marks) != NULL;
}

/* Who of the message is finished, by the marks of the same piece. */
static uint32_t
finished(uint64_t id, uint32_t count, char *state)
{
	uint32_t n = 0;
	memset(state, 0, count / 8 + 1);
	if (marked(id, VOID))
		return count;
	for (uint32_t i = 0; i < count; i++)
		if (marked(id, i)) {
			state[i / 8] = (char)(state[i / 8] | 1 << (i % 8));
			n++;
		}
	return n;
}

static int
write_file(struct fsck *f, const struct mend_record *m, struct str state)
{
	static const char tmp[] = "mess/tmp/restored";
	struct messfile file;
	if (messfile_write(
		f->dirfd, tmp, f->key, m->r.id, m->meta, m->body, &file) < 0)
		return errno;
	int e = 0;
	if (messfile_append(&file, f->key, MESS_STATE, state) < 0 ||
	    fsync(file.fd) < 0)
		e = errno;
	messfile_close(&file);
	if (e == 0)
		e = put_back(f, tmp, m->r.id);
	if (e != 0)
		(void)fsck_remove(f, tmp); /* swept at the next start */
	return e;
}

static void
on_message(const struct mend_record *m)
{
	char state[ENVELOPE_RECIPIENTS / 8 + 1];
	char text[WHAT];
	struct envelope env;
	struct fsck *f = piece.f;
	if (m->r.type != RECORD_MESSAGE || !envelope_open(m->meta, &env) ||
	    (piece.wanted != 0 && piece.wanted != m->r.id))
		return;
	uint32_t count = env.recipients.count;
	if (finished(m->r.id, count, state) == count) {
		piece.done++;
		return;
	}
	piece.whole++;
	describe(text, "message", m->r.id, &env, m->body.n);
	if (in_queue(f, m->r.id)) {
		piece.done++;
		if (piece.wanted != 0)
			told_back(f, piece.path, text, EEXIST);
	} else if (piece.restoring) {
		struct str s = { .p = state, .n = count / 8 + 1 };
		int e = write_file(f, m, s);
		piece.restored += e == 0;
		told_back(f, piece.path, text, e);
	} else if (!f->quiet) {
		fsck_note(f, piece.path, text);
	}
	f->quarantined += !piece.restoring && !in_queue(f, m->r.id);
}

/* segment-NUMBER-OFFSET stood at OFFSET, all else at 0. */
static uint64_t
stood_at(const char *name)
{
	uint64_t at = 0;
	struct str head, tail;
	struct str s = str_of(name);
	if (!str_starts(s, STR("segment-")))
		return 0;
	(void)str_cut(str_skip(s, 8), '-', &head, &tail);
	(void)str_cut(tail, '.', &tail, &head);
	return str_u64(tail, UINT32_MAX, &at) ? at : 0;
}

static void
look_into(struct fsck *f, const char *path, const char *name, bool restore,
    uint64_t wanted)
{
	struct stat st;
	int fd = openat(
	    f->dirfd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_size > JOURNAL_LARGEST) { /* no piece of a segment */
		io_close(&fd);
		return;
	}
	char *p = malloc((size_t)st.st_size + 1);
	if (p == NULL)
		fsck_die("memory", ENOMEM);
	int64_t n = io_pread_all(fd, p, (size_t)st.st_size, 0);
	io_close(&fd);
	if (n > 0) {
		struct str bytes = { .p = p, .n = (size_t)n };
		piece.f = f;
		piece.path = path;
		piece.n = 0;
		piece.restoring = restore;
		piece.wanted = wanted;
		mend_scan(f->key, bytes, stood_at(name), gather_marks);
		if (piece.n > 0)
			qsort(piece.marks, piece.n, sizeof(*piece.marks),
			    compare_marks);
		mend_scan(f->key, bytes, stood_at(name), on_message);
	}
	free(p);
}

/* ---- the folder ---- */

static bool
wanted_name(const char *name, const char *wanted, uint64_t id)
{
	return id != 0 || strcmp(name, wanted) == 0;
}

/* Goes through quarantine; wanted NULL: lists it. */
static void
walk(struct fsck *f, const char *wanted)
{
	uint64_t id = 0;
	int fd = openat(f->dirfd, "quarantine",
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (d == NULL)
		fsck_die("quarantine", errno);
	if (wanted != NULL && !mess_id(str_of(wanted), &id))
		id = 0;
	/* cppcheck-suppress nullPointer ; fsck_die() does not return */
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		char path[FSCK_PATH];
		if (e->d_name[0] == '.' ||
		    (wanted != NULL && !wanted_name(e->d_name, wanted, id)))
			continue;
		fsck_path(path, "quarantine", e->d_name);
		if (!own_file(f, path, wanted != NULL, id))
			look_into(f, path, e->d_name, wanted != NULL, id);
	}
	closedir(d);
}

void
fsck_quarantine(struct fsck *f)
{
	walk(f, NULL);
}

void
fsck_restore(struct fsck *f, char **names, int count)
{
	for (int i = 0; i < count; i++) {
		uint64_t before = f->mended + f->left + f->notes;
		walk(f, names[i]);
		if (f->mended + f->left + f->notes == before)
			fsck_found(f, names[i],
			    "not in quarantine, or nothing in it is whole",
			    "postern queue fsck lists what is there",
			    FSCK_NO_MEND);
	}
}
