/* SPDX-License-Identifier: ISC
 * found: contract in found.h.
 */
#include "queue/found.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/die.h"
#include "common/io.h"
#include "common/log.h"
#include "queue/drops.h"
#include "queue/messfile.h"

/* The bit of an id in the list that says: read already. */
#define TAKEN ((uint64_t)1 << 63)

enum {
	RUN_MS = 5,	/* those who send wait so long at the most */
	LOOK_EVERY = 8, /* files between two looks at the clock */
	PAUSE_MS = 100	/* when there is no descriptor for a file */
};

/* ---- directories ---- */

bool
found_is_ours(int error)
{
	return error == ENOMEM || error == EMFILE || error == ENFILE;
}

static void
unreadable_dir(const char *name, int error)
{
	LOG(ERROR, "unreadable", F_TEXT("dir", name), F_ERRNO(error),
	    F_TEXT("do", SPOOL_ADVICE_REPAIR));
}

/* NULL: there is none, or (logged) it cannot be read; the rest still can. */
static DIR *
open_dir(int dirfd, const char *name)
{
	int fd = openat(
	    dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	int e = errno;
	if (d != NULL)
		return d;
	if (found_is_ours(e))
		die(EXITCODE_TEMPORARY, name, e);
	io_close(&fd);
	if (e != ENOENT)
		unreadable_dir(name, e);
	return NULL;
}

/* The next name that is not hidden, or NULL. */
static const char *
next_name(DIR *d, const char *dir)
{
	struct dirent *e;
	do {
		errno = 0;
		e = readdir(d);
	} while (e != NULL && e->d_name[0] == '.');
	if (e == NULL && errno != 0)
		unreadable_dir(dir, errno);
	return e == NULL ? NULL : e->d_name;
}

/* What did not get its final name was never acknowledged. */
static void
sweep_tmp(const struct spool *s)
{
	DIR *d = open_dir(s->dirfd, "mess/tmp");
	if (d == NULL)
		return;
	const char *name;
	while ((name = next_name(d, "mess/tmp")) != NULL)
		if (unlinkat(dirfd(d), name, 0) < 0)
			LOG(WARN, "cannot-remove", F_TEXT("file", name),
			    F_ERRNO(errno));
	closedir(d);
}

static void
keep_id(struct found *ids, uint64_t id)
{
	if (ids->n == ids->cap) {
		size_t cap = ids->cap == 0 ? 1024 : ids->cap * 2;
		uint64_t *p = reallocarray(ids->id, cap, sizeof(*p));
		if (p == NULL)
			die(EXITCODE_TEMPORARY, "recovery", ENOMEM);
		ids->id = p;
		ids->cap = cap;
	}
	ids->id[ids->n++] = id;
}

static void
scan_dir(const struct spool *s, const char *dir, struct found *ids)
{
	DIR *d = open_dir(s->dirfd, dir);
	if (d == NULL)
		return;
	const char *file;
	while ((file = next_name(d, dir)) != NULL) {
		uint64_t id;
		char name[MESS_NAME];
		bool ours = mess_id(str_of(file), &id) && (id & TAKEN) == 0;
		if (ours) {
			mess_name(id, name);
			ours = strncmp(name, dir, strlen(dir)) == 0;
		}
		if (ours)
			keep_id(ids, id);
		else
			LOG(WARN, "strange-file", F_TEXT("dir", dir),
			    F_TEXT("file", file),
			    F_TEXT("do", SPOOL_ADVICE_REPAIR));
	}
	closedir(d);
}

static int
compare_ids(const void *a, const void *b)
{
	uint64_t x, y;
	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return x < y ? -1 : x > y;
}

/* ---- files ---- */

static void
take_state(struct ledger_entry *e, struct str bits)
{
	for (uint32_t i = 0; i < e->count && i / 8 < bits.n; i++)
		if ((bits.p[i / 8] >> (i % 8) & 1) != 0)
			(void)ledger_set_done(e, i);
}

static bool
take_entries(struct ledger_entry *e, const struct messfile *f,
    const unsigned char key[RECORD_KEY])
{
	size_t at = 0;
	enum mess_entry type;
	struct str content;
	while (messfile_next(f, key, &at, &type, &content)) {
		struct replacement r;
		if (type == MESS_STATE) {
			take_state(e, content);
			continue;
		}
		if (type == MESS_HOLD) {
			spool_park(e, str_eq(content, STR("H")));
			continue;
		}
		if (!replacement_open(content, &r) || r.first != e->count)
			continue; /* written twice: the first one holds */
		if (!ledger_grow(e, r.first + r.by.count))
			return false;
		(void)ledger_set_done(e, r.idx);
	}
	return true;
}

/* The file cannot be taken: it is put aside when it is damaged or no file, and
 * left alone when it may be readable another time. */
static void
refuse(struct spool *s, uint64_t id, int error)
{
	char name[MESS_NAME];
	mess_name(id, name);
	if (found_is_ours(error))
		die(EXITCODE_TEMPORARY, "recovery", error);
	if (error == ENOENT)
		return;
	if (error == EIO || error == EACCES || error == EPERM) {
		LOG(ERROR, "unreadable", F_ID(id), F_TEXT("file", name),
		    F_ERRNO(error), F_TEXT("do", SPOOL_ADVICE_REPAIR));
		return;
	}
	LOG(ERROR, "damaged", F_ID(id), F_ERRNO(error));
	spool_quarantine(s, name, id);
}

/* The file's message joins the ledger.  False: not now. */
static bool
take_file(struct spool *s, uint64_t id)
{
	struct messfile f;
	if (messfile_open(s->dirfd, s->key, id, &f) < 0) {
		if (found_is_ours(errno))
			return false;
		refuse(s, id, errno);
		return true;
	}
	uint32_t slot = ledger_add(&s->ledger, id, f.envelope.recipients.count);
	if (slot == LEDGER_NONE)
		die(EXITCODE_TEMPORARY, "recovery", ENOMEM);
	struct ledger_entry *e = ledger_at(&s->ledger, slot);
	if (!take_entries(e, &f, s->key))
		die(EXITCODE_TEMPORARY, "recovery", ENOMEM);
	e->flags |= LEDGER_FILE;
	if (!ledger_is_done(e, 0))
		drops_found(&f.envelope, id);
	messfile_close(&f);
	if (s->recovering)
		return true; /* its record may come, and its end with it */
	if (e->left == 0)
		spool_finish(s, slot);
	else if (s->on_add != NULL)
		s->on_add(slot);
	return true;
}

/* New ids come after those of all files.  A name proves nothing: one that lies
 * in the future counts only when its file is right. */
static void
raise_last_id(struct spool *s)
{
	uint64_t now = (uint64_t)clock_now_us();
	for (size_t i = s->found.n; i > 0; i--) {
		uint64_t id = s->found.id[i - 1];
		struct messfile f;
		if (id <= s->last_id)
			return;
		if (id > now && messfile_open(s->dirfd, s->key, id, &f) < 0) {
			if (found_is_ours(errno))
				die(EXITCODE_TEMPORARY, "recovery", errno);
			continue;
		}
		if (id > now)
			messfile_close(&f);
		s->last_id = id;
		return;
	}
}

void
found_scan(struct spool *s)
{
	static const char hex[] = "0123456789abcdef";
	struct found *ids = &s->found;
	char dir[] = "mess/00";
	sweep_tmp(s);
	for (int i = 0; i < 256; i++) {
		dir[5] = hex[i >> 4];
		dir[6] = hex[i & 15];
		scan_dir(s, dir, ids);
	}
	if (ids->n == 0)
		return;
	qsort(ids->id, ids->n, sizeof(*ids->id), compare_ids);
	raise_last_id(s);
	ids->left = ids->n;
}

/* ---- one by one ---- */

/* False: it cannot be read now. */
static bool
take_at(struct spool *s, size_t i)
{
	struct found *ids = &s->found;
	uint64_t id = ids->id[i];
	if ((id & TAKEN) != 0)
		return true;
	/* a found file is always read before its id is used: not known yet */
	if (!take_file(s, id))
		return false;
	ids->id[i] |= TAKEN;
	ids->left--;
	return true;
}

/* Where that id is, or would be. */
static size_t
place_of(const struct found *ids, uint64_t id)
{
	size_t low = 0, high = ids->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if ((ids->id[middle] & ~TAKEN) < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool
found_skip(struct spool *s, uint64_t id)
{
	struct found *ids = &s->found;
	size_t i = place_of(ids, id);
	if (i == ids->n || ids->id[i] != id)
		return false;
	ids->id[i] |= TAKEN;
	ids->left--;
	return true;
}

uint32_t
found_slot(struct spool *s, uint64_t id)
{
	const struct found *ids = &s->found;
	uint32_t slot = ledger_find(&s->ledger, id);
	if (slot != LEDGER_NONE || ids->left == 0)
		return slot;
	size_t i = place_of(ids, id);
	/* without it a mark or a bounce would be lost; a restart loses none */
	if (i < ids->n && ids->id[i] == id && !take_at(s, i))
		die(EXITCODE_TEMPORARY, "a message's file", errno);
	return ledger_find(&s->ledger, id);
}

bool
found_left(const struct spool *s)
{
	return s->found.left > 0;
}

static void
forget_list(struct spool *s, int64_t now)
{
	struct found *ids = &s->found;
	LOG(INFO, "files-read", F_NUM("files", ids->n),
	    F_NUM("ms", now - ids->began));
	free(ids->id);
	*ids = (struct found){ .id = NULL };
}

bool
found_run(struct spool *s)
{
	struct found *ids = &s->found;
	if (ids->n == 0)
		return false;
	int64_t now = clock_mono_ms();
	if (ids->began == 0)
		ids->began = now;
	int64_t end = now + RUN_MS;
	if (now < ids->paused_until)
		return true;
	for (unsigned i = 1; ids->left > 0 && now < end; i++) {
		if (!take_at(s, ids->at)) {
			ids->paused_until = now + PAUSE_MS;
			return true;
		}
		ids->at++;
		if (i % LOOK_EVERY == 0)
			now = clock_mono_ms();
	}
	if (ids->left > 0)
		return true;
	forget_list(s, clock_mono_ms());
	return false;
}
