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
#include "common/log.h"
#include "queue/messfile.h"

/* The bit of an id in the list that says: read already. */
#define TAKEN ((uint64_t)1 << 63)

enum {
	RUN_MS = 5,	/* those who send wait so long at the most */
	LOOK_EVERY = 8, /* files between two looks at the clock */
	PAUSE_MS = 100	/* when there is no descriptor for a file */
};

/* ---- directories ---- */

static DIR *
open_dir(int dirfd, const char *name)
{
	int fd = openat(
	    dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	if (d == NULL && errno != ENOENT)
		die(EXITCODE_TEMPORARY, name, errno);
	return d;
}

/* What did not get its final name was never acknowledged. */
static void
sweep_tmp(const struct spool *s)
{
	DIR *d = open_dir(s->dirfd, "mess/tmp");
	if (d == NULL)
		return;
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d))
		if (e->d_name[0] != '.' && unlinkat(dirfd(d), e->d_name, 0) < 0)
			LOG(WARN, "cannot-remove", F_TEXT("file", e->d_name),
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
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
		uint64_t id;
		char name[MESS_NAME];
		if (e->d_name[0] == '.')
			continue;
		if (!mess_id(str_of(e->d_name), &id)) {
			LOG(WARN, "strange-file", F_TEXT("dir", dir),
			    F_TEXT("file", e->d_name));
			continue;
		}
		mess_name(id, name);
		if (strncmp(name, dir, strlen(dir)) == 0)
			keep_id(ids, id);
		else
			LOG(WARN, "strange-file", F_TEXT("dir", dir),
			    F_TEXT("file", e->d_name));
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

/* The file's message joins the ledger.  False: not now. */
static bool
take_file(struct spool *s, uint64_t id)
{
	struct messfile f;
	char name[MESS_NAME];
	mess_name(id, name);
	if (messfile_open(s->dirfd, s->key, id, &f) < 0) {
		if (errno == ENOMEM || errno == EMFILE || errno == ENFILE)
			return false;
		LOG(ERROR, "damaged", F_ID(id), F_ERRNO(errno));
		if (errno != ENOENT)
			spool_quarantine(s, name, id);
		return true;
	}
	uint32_t slot = ledger_add(&s->ledger, id, f.envelope.recipients.count);
	if (slot == LEDGER_NONE)
		die(EXITCODE_TEMPORARY, "recovery", ENOMEM);
	struct ledger_entry *e = ledger_at(&s->ledger, slot);
	if (!take_entries(e, &f, s->key))
		die(EXITCODE_TEMPORARY, "recovery", ENOMEM);
	e->flags |= LEDGER_FILE;
	messfile_close(&f);
	if (s->recovering)
		return true; /* its record may come, and its end with it */
	if (e->left == 0)
		spool_finish(s, slot);
	else if (s->on_add != NULL)
		s->on_add(slot);
	return true;
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
	if (ids->id[ids->n - 1] > s->last_id)
		s->last_id = ids->id[ids->n - 1];
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

uint32_t
found_slot(struct spool *s, uint64_t id)
{
	const struct found *ids = &s->found;
	uint32_t slot = ledger_find(&s->ledger, id);
	if (slot != LEDGER_NONE || ids->left == 0)
		return slot;
	size_t low = 0, high = ids->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if ((ids->id[middle] & ~TAKEN) < id)
			low = middle + 1;
		else
			high = middle;
	}
	/* without it a mark or a bounce would be lost; a restart loses none */
	if (low < ids->n && ids->id[low] == id && !take_at(s, low))
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
