/* SPDX-License-Identifier: ISC
 * fsck_journal: the segments: their headers, their order, and the chain of
 * records in each.  A segment that is mended is written anew beside the old
 * one, which goes to quarantine as it was.
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
#include "common/clock.h"
#include "common/io.h"
#include "install/progress.h"
#include "queue/fsck.h"
#include "queue/journal.h"
#include "queue/mend.h"

enum { WHAT = 256 };

/* What the files of the ring are. */
struct file {
	bool there, damaged, live, dirty;
	uint64_t size;
	struct segment_head head;
	struct mend_guess guess; /* of a damaged one */
	struct mend_result result;
};

static struct file files[JOURNAL_MAX];
static struct fsck *current; /* for the callback */

static const char *
path_of(size_t i, char out[FSCK_PATH])
{
	char name[JOURNAL_NAME];
	journal_name(i, name);
	return fsck_path(out, "journal", name);
}

/* ---- reading ---- */

/* The whole segment in memory (malloc), or NULL: told. */
static char *
load(struct fsck *f, size_t i)
{
	char path[FSCK_PATH];
	char *p = malloc((size_t)files[i].size);
	if (p == NULL)
		fsck_die("memory", ENOMEM);
	int fd = openat(f->dirfd, path_of(i, path),
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int64_t n = fd < 0 ? -1 : io_pread_all(fd, p, files[i].size, 0);
	int e = n < 0 ? errno : 0;
	io_close(&fd);
	if (e == 0 && (uint64_t)n == files[i].size)
		return p;
	fsck_found(f, path, e == 0 ? "shorter than it was" : strerror(e),
	    "see whether the disk is sound", FSCK_NO_MEND);
	free(p);
	return NULL;
}

/* Segment i's name in quarantine: PREFIX NNNN-TIME. */
static void
stamped(const char *prefix, size_t i, int64_t time, char out[FSCK_PATH])
{
	char name[JOURNAL_NAME];
	journal_name(i, name);
	(void)snprintf(out, FSCK_PATH, "%s%s-%" PRIi64, prefix, name, time);
}

static int
set_aside(const struct fsck *f, size_t i)
{
	char path[FSCK_PATH];
	char to[FSCK_PATH];
	stamped("journal-", i, clock_now(), to);
	int e = fsck_set_aside(f, path_of(i, path), to);
	files[i].there = false;
	return e != 0 ? e : fsck_sync_dir(f, "journal");
}

static void
refuse(struct fsck *f, size_t i, const char *what)
{
	char path[FSCK_PATH];
	int e = fsck_mends(f) ? set_aside(f, i) : 0;
	if (e == EACCES && fsck_remove(f, path_of(i, path)) == 0)
		e = 0; /* a link or pipe: it has no bytes to be kept */
	fsck_found(f, path_of(i, path), what,
	    "move it to quarantine/ (--restore puts its messages back)", e);
	files[i].there = false;
}

/* Keeps the old file under a second name, `to`, in quarantine. */
static int
keep_old(const struct fsck *f, size_t i, char to[FSCK_PATH])
{
	char path[FSCK_PATH];
	stamped("quarantine/mended-", i, clock_now_us(), to);
	if (linkat(f->dirfd, path_of(i, path), f->dirfd, to, 0) < 0)
		return errno;
	return fsck_sync_dir(f, "quarantine");
}

/* Writes the mended segment and puts it in the place of the old one. */
static int
replace(const struct fsck *f, size_t i, const char *p)
{
	static const char making[] = "journal/new";
	char path[FSCK_PATH];
	char kept[FSCK_PATH];
	struct str bytes = { .p = p, .n = (size_t)files[i].size };
	int e = keep_old(f, i, kept);
	if (e != 0)
		return e;
	int fd = openat(f->dirfd, making,
	    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || io_pwrite_all(fd, bytes, 0) < 0 || fsync(fd) < 0)
		e = errno;
	if (fd >= 0 && close(fd) < 0 && e == 0)
		e = errno;
	if (e == 0 &&
	    renameat(f->dirfd, making, f->dirfd, path_of(i, path)) < 0)
		e = errno;
	if (e == 0)
		return fsck_sync_dir(f, "journal");
	(void)unlinkat(f->dirfd, making, 0); /* swept at the start */
	/* or what is in quarantine is what queued goes on writing to */
	(void)unlinkat(f->dirfd, kept, 0);
	return e;
}

/* ---- headers ---- */

static void
look_at_head(struct fsck *f, size_t i)
{
	char path[FSCK_PATH];
	char block[RECORD_BLOCK];
	struct stat st = { 0 };
	struct file *file = &files[i];
	int fd = openat(f->dirfd, path_of(i, path),
	    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return;
	int e = fd < 0 || fstat(fd, &st) < 0 ? errno : 0;
	int64_t n = e == 0 && S_ISREG(st.st_mode)
			? io_pread_all(fd, block, sizeof(block), 0)
			: 0;
	struct str bytes = { .p = block, .n = n < 0 ? 0 : (size_t)n };
	bool is_sound = segment_open(f->key, bytes, &file->head);
	int is_new = n > 0 && !is_sound && st.st_size <= JOURNAL_LARGEST
			 ? journal_is_new(fd, (uint64_t)st.st_size)
			 : 0;
	if (n < 0 || is_new < 0)
		e = errno;
	io_close(&fd);
	file->there = true;
	if (e == EACCES || e == EIO) {
		fsck_found(f, path, strerror(e),
		    "see whether the disk is sound", FSCK_NO_MEND);
		file->there = false;
		return;
	}
	if (e != 0 || !S_ISREG(st.st_mode) ||
	    st.st_size < (off_t)2 * RECORD_BLOCK ||
	    st.st_size > JOURNAL_LARGEST) {
		refuse(f, i, "no segment: not a file, cut short, or too large");
		return;
	}
	file->size = (uint64_t)st.st_size & ~(uint64_t)(RECORD_BLOCK - 1);
	file->damaged = !is_sound && is_new == 0;
	file->live = is_sound && file->head.use == SEGMENT_USE_LIVE;
}

/* A number that fits the place of `first` in the order of the sequences; 0:
 * none does. */
static uint32_t
number_for(const struct segment_head *h, bool own_counts, bool *is_oldest)
{
	const struct segment_head *before = NULL, *behind = NULL;
	for (size_t i = 0; i < JOURNAL_MAX; i++) {
		const struct segment_head *o = &files[i].head;
		if (!files[i].live)
			continue;
		if (o->first_sequence <= h->first_sequence &&
		    (before == NULL || o->number > before->number))
			before = o;
		if (o->first_sequence > h->first_sequence &&
		    (behind == NULL || o->number < behind->number))
			behind = o;
	}
	uint32_t low = before == NULL ? 0 : before->number;
	uint32_t high = behind == NULL ? UINT32_MAX / 2 : behind->number;
	uint32_t near = before == NULL ? high : low + JOURNAL_MAX / 2;
	*is_oldest = before == NULL;
	if (own_counts && h->number > low && h->number < high &&
	    h->number < near)
		return h->number;
	if (before != NULL)
		return low + 1 < high ? low + 1 : 0;
	return behind == NULL ? 1 : high - 1;
}

/* True when no segment was opened after the one with this last sequence.  Its
 * marks are all in itself then, so that it may be called live: what was done
 * does not come back. */
static bool
is_newest(size_t i, uint64_t last)
{
	for (size_t k = 0; k < JOURNAL_MAX; k++) {
		const struct file *o = &files[k];
		/* one that is free was freed when this sequence came next */
		uint64_t most = o->live ? last : last + 1;
		if (k == i || !o->there)
			continue;
		if (o->damaged ? o->guess.any && o->guess.last > last
			       : o->head.first_sequence > most)
			return false;
	}
	return true;
}

/* A header that cannot be read: what did it say? */
static void
guess_head(struct fsck *f, size_t i)
{
	char *p = load(f, i);
	struct str all = { .p = p, .n = (size_t)files[i].size };
	if (p != NULL)
		mend_head(f->key, all, &files[i].guess);
	else
		files[i].there = false;
	free(p);
}

static void
write_head(struct fsck *f, size_t i)
{
	char path[FSCK_PATH];
	struct file *file = &files[i];
	char *p = load(f, i);
	if (p == NULL)
		return;
	bool any = file->guess.any;
	if (any)
		segment_seal(f->key, &file->head, p);
	else
		memset(p, 0, RECORD_BLOCK);
	int e = fsck_mends(f) ? replace(f, i, p) : 0;
	fsck_found(f, path_of(i, path), "damaged: its header",
	    any ? "write it anew from the records"
		: "write it anew (there are no records)",
	    e);
	free(p);
}

static void
mend_header(struct fsck *f, size_t i)
{
	struct file *file = &files[i];
	struct mend_guess *g = &file->guess;
	bool is_oldest;
	uint32_t number = number_for(&g->head, g->same_life, &is_oldest);
	/* the oldest may as well have been freed: nobody can tell, unless its
	 * own header does */
	bool sure = g->any && number != 0 &&
		    (!is_oldest || (g->same_life && g->use_known) ||
			is_newest(i, g->last));
	if (!sure && g->any) {
		refuse(f, i,
		    "damaged: its header, and whether its messages were done "
		    "is not known");
		return;
	}
	g->head.number = number;
	file->head = g->head;
	write_head(f, i);
	file->live = g->any && g->head.use == SEGMENT_USE_LIVE;
	file->damaged = false;
}

/* In the order of their records, for the numbers are to be in it, too. */
static void
mend_headers(struct fsck *f)
{
	for (size_t i = 0; i < JOURNAL_MAX; i++)
		if (files[i].there && files[i].damaged)
			guess_head(f, i);
	for (;;) {
		const struct file *next = NULL;
		for (size_t i = 0; i < JOURNAL_MAX; i++)
			if (files[i].there && files[i].damaged &&
			    (next == NULL ||
				files[i].guess.head.first_sequence <
				    next->guess.head.first_sequence))
				next = &files[i];
		if (next == NULL)
			return;
		mend_header(f, (size_t)(next - files));
	}
}

static void
check_numbers(struct fsck *f)
{
	for (size_t i = 0; i < JOURNAL_MAX; i++) {
		for (size_t k = 0; k < i && files[i].live; k++)
			if (files[k].live &&
			    files[k].head.number == files[i].head.number) {
				files[i].live = false;
				refuse(f, i, "a second file of one segment");
			}
	}
}

/* ---- records ---- */

static void
on_record(const struct mend_record *m)
{
	struct envelope env;
	if (m->r.type == RECORD_MESSAGE && envelope_open(m->meta, &env))
		ids_add(&current->records, m->r.id);
}

static void
check_records(struct fsck *f, size_t i)
{
	char path[FSCK_PATH];
	char what[WHAT];
	struct file *file = &files[i];
	struct mend_result *r = &file->result;
	char *p = load(f, i);
	if (p == NULL)
		return;
	mend_segment(f->key, &file->head, p, (size_t)file->size, r, on_record);
	if (r->holes > 0) {
		(void)snprintf(what, sizeof(what),
		    r->torn && r->holes == 1
			? "bytes %" PRIu64 "-%" PRIu64
			  ": an unfinished end; never acknowledged, unless the "
			  "disk lied"
			: "bytes %" PRIu64 "-%" PRIu64
			  ": damaged records: %" PRIu64
			  " of them whole, %" PRIu64 " lost",
		    r->first, r->end, r->saved, r->lost);
		int e = fsck_mends(f) ? replace(f, i, p) : 0;
		fsck_found(f, path_of(i, path), what,
		    "write the segment anew with what is whole", e);
	}
	free(p);
}

/* Between the last record of one segment and the first of the next. */
static void
check_chain(struct fsck *f)
{
	for (size_t i = 0; i < JOURNAL_MAX; i++) {
		const struct segment_head *next = NULL;
		const struct segment_head *h = &files[i].head;
		char path[FSCK_PATH];
		char what[WHAT];
		for (size_t k = 0; k < JOURNAL_MAX && files[i].live; k++) {
			const struct segment_head *o = &files[k].head;
			if (files[k].live && o->number > h->number &&
			    (next == NULL || o->number < next->number))
				next = o;
		}
		if (next == NULL ||
		    next->first_sequence <= files[i].result.last + 1)
			continue;
		(void)snprintf(what, sizeof(what),
		    "%" PRIu64 " records behind its last one are not there: "
		    "a write that failed (sync-failed in the log), or damage",
		    next->first_sequence - files[i].result.last - 1);
		fsck_note(f, path_of(i, path), what);
	}
}

/* ---- the folder ---- */

static bool
is_ours(const char *name)
{
	return strlen(name) == 4 && strspn(name, "0123456789") == 4 &&
	       strcmp(name, "1023") <= 0;
}

static void
check_names(struct fsck *f)
{
	int fd = openat(f->dirfd, "journal",
	    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (d == NULL)
		fsck_die("journal", errno);
	/* cppcheck-suppress nullPointer ; fsck_die() does not return */
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		char path[FSCK_PATH];
		if (is_ours(e->d_name) || strcmp(e->d_name, ".") == 0 ||
		    strcmp(e->d_name, "..") == 0 || f->live)
			continue;
		fsck_path(path, "journal", e->d_name);
		bool left_over = strcmp(e->d_name, "new") == 0;
		if (left_over && !fsck_mends(f))
			fsck_note(f, path,
			    "left over from a stop; the next start removes it");
		else if (left_over)
			fsck_found(f, path, "left over from a stop",
			    "remove it", fsck_remove(f, path));
		else
			fsck_found(f, path, "nothing of Postern's",
			    "move it to quarantine/",
			    fsck_mends(f) ? fsck_set_aside(f, path, e->d_name)
					  : 0);
	}
	closedir(d);
}

void
fsck_journal(struct fsck *f)
{
	current = f;
	check_names(f);
	if (f->live) {
		fsck_note(f, "journal",
		    "not looked at: postern-queued is writing to it");
		return;
	}
	for (size_t i = 0; i < JOURNAL_MAX; i++)
		look_at_head(f, i);
	mend_headers(f);
	check_numbers(f);
	progress_begin("journal", false);
	for (size_t i = 0; i < JOURNAL_MAX; i++) {
		progress_at(i, JOURNAL_MAX);
		if (files[i].there && files[i].live)
			check_records(f, i);
	}
	check_chain(f);
	ids_sort(&f->records);
}
