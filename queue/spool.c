/* SPDX-License-Identifier: ISC
 * spool: contract in spool.h.  Recovery is in recover.c.
 */
#include "queue/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/advice.h"
#include "common/die.h"
#include "common/io.h"
#include "common/log.h"
#include "queue/found.h"

enum { VERSION = 1, LOCK_TRIES = 250 };

/* ---- opening ---- */

static void
make_dir(int dirfd, const char *name)
{
	if (mkdirat(dirfd, name, 0700) < 0 && errno != EEXIST)
		die_do(EXITCODE_TEMPORARY, name, errno, advice_file(errno));
}

static int
take_lock(int dirfd)
{
	int fd = openat(
	    dirfd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		die_do(EXITCODE_TEMPORARY, "lock of the spool", errno,
		    advice_file(errno));
	/* Held until this process and its settle are gone: the settle of one
	 * that was killed may still be at its last sync. */
	for (int i = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
		const struct timespec pause = { .tv_nsec = 20000000L };
		if (errno != EWOULDBLOCK || i == LOCK_TRIES)
			die_do(EXITCODE_TEMPORARY,
			    "another queued, or postern queue fsck, has this "
			    "spool",
			    0, "wait until it has ended, or end it");
		(void)nanosleep(&pause, NULL); /* shorter is fine */
	}
	return fd;
}

/* True when the spool is new: nothing in it yet. */
static bool
check_version(int dirfd)
{
	char text[32];
	int64_t n = io_read_file(dirfd, "version", text, sizeof(text));
	if (n < 0 && errno == ENOENT)
		return true;
	if (n < 0)
		die_do(EXITCODE_TEMPORARY, "version of the spool", errno,
		    advice_file(errno));
	uint64_t version;
	struct str s = str_trim((struct str){ .p = text, .n = (size_t)n });
	if (!str_u64(s, UINT32_MAX, &version))
		die_do(EXITCODE_PERMANENT, "version of the spool: no number", 0,
		    "run postern queue fsck --repair");
	if (version != VERSION)
		die_do(EXITCODE_PERMANENT,
		    "the spool was made by another version of Postern", 0,
		    "install that version again, and let it empty the queue");
	return false;
}

static bool
has_entries(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	bool found = false;
	if (d == NULL)
		die_do(EXITCODE_TEMPORARY, name, errno, advice_file(errno));
	/* cppcheck-suppress nullPointer ; die() does not return */
	for (struct dirent *e = readdir(d); e != NULL; e = readdir(d))
		found = found ||
			(e->d_name[0] != '.' && strcmp(e->d_name, "tmp") != 0 &&
			    strcmp(e->d_name, "new") != 0);
	closedir(d);
	return found;
}

static const char lost_key[] =
    "put the file key back from a backup; without it the messages cannot be "
    "read: then move the spool away and run postern init";

static void
get_key(struct spool *s)
{
	char text[RECORD_KEY];
	int64_t n = io_read_file(s->dirfd, "key", text, sizeof(text));
	if (n == RECORD_KEY) {
		memcpy(s->key, text, RECORD_KEY);
		return;
	}
	if (n >= 0 || errno == EFBIG)
		die_do(EXITCODE_PERMANENT, "key of the spool: not 32 bytes", 0,
		    lost_key);
	if (errno != ENOENT)
		die_do(EXITCODE_TEMPORARY, "key of the spool", errno,
		    advice_file(errno));
	/* a new key would make all that is there unreadable */
	if (has_entries(s->dirfd, "journal") || has_entries(s->dirfd, "mess"))
		die_do(EXITCODE_PERMANENT, "the spool has lost its key file", 0,
		    lost_key);
	randombytes_buf(s->key, RECORD_KEY);
	struct str key = { .p = (const char *)s->key, .n = RECORD_KEY };
	if (io_replace_file(s->dirfd, "key", key, 0600) < 0)
		die_do(EXITCODE_TEMPORARY, "key of the spool", errno,
		    advice_file(errno));
}

void
spool_open(struct spool *s, int dirfd)
{
	*s = (struct spool){
		.dirfd = dirfd, .dirty = LEDGER_LIST, .gone = LEDGER_LIST
	};
	if (sodium_init() < 0)
		die(EXITCODE_TEMPORARY, "libsodium", 0);
	s->lockfd = take_lock(dirfd);
	bool fresh = check_version(dirfd);
	make_dir(dirfd, "journal");
	make_dir(dirfd, "mess");
	make_dir(dirfd, "mess/tmp");
	make_dir(dirfd, "quarantine");
	get_key(s);
	if (fresh && io_replace_file(dirfd, "version", STR("1\n"), 0600) < 0)
		die_do(EXITCODE_TEMPORARY, "version of the spool", errno,
		    advice_file(errno));
	if (fsync(dirfd) < 0)
		die_do(EXITCODE_TEMPORARY, "spool", errno, advice_file(errno));
	if (!ledger_init(&s->ledger))
		die(EXITCODE_TEMPORARY, "index", ENOMEM);
}

uint64_t
spool_next_id(struct spool *s)
{
	uint64_t now = (uint64_t)clock_now_us();
	s->last_id = now > s->last_id ? now : s->last_id + 1;
	return s->last_id;
}

/* ---- what marks and replacements do ---- */

static void
clean(struct spool *s, uint32_t *number)
{
	struct segment *seg = journal_at(&s->journal, *number);
	if (*number != 0 && seg != NULL)
		seg->dirty--;
	*number = 0;
}

/* A change that is durable in segment number has to get into slot's file, if it
 * has one or is about to. */
static void
soil(struct spool *s, uint32_t slot, uint32_t number)
{
	struct ledger_entry *e = ledger_at(&s->ledger, slot);
	bool waits = e->dirty != 0;
	if ((e->flags & (LEDGER_FILE | LEDGER_NAMED | LEDGER_BUSY)) == 0)
		return;
	if (waits && e->dirty <= number)
		return; /* for an older change already */
	/* recovery learns last what bounces finished: that may be older */
	clean(s, &e->dirty);
	e->dirty = number;
	struct segment *seg = journal_at(&s->journal, number);
	if (seg != NULL)
		seg->dirty++;
	else
		bug("a change in a segment that is not there");
	if (!waits && (e->flags & LEDGER_FILE) != 0 &&
	    (e->flags & LEDGER_BUSY) == 0)
		ledger_push(&s->ledger, &s->dirty, slot);
}

void
spool_flush_begins(struct ledger_entry *e)
{
	e->flushing = e->dirty;
	e->dirty = 0;
}

void
spool_flush_ends(struct spool *s, struct ledger_entry *e, bool done)
{
	if (done) {
		clean(s, &e->flushing);
		ledger_drop_extras(e, e->extras_sent);
	} else if (e->flushing != 0) {
		clean(s, &e->dirty);
		e->dirty = e->flushing;
		e->flushing = 0;
	}
	e->extras_sent = 0;
}

void
spool_forget(struct spool *s, uint32_t slot)
{
	struct ledger_entry *e = ledger_at(&s->ledger, slot);
	clean(s, &e->dirty);
	clean(s, &e->flushing);
	if (s->on_drop != NULL)
		s->on_drop(slot);
	ledger_drop(&s->ledger, slot);
}

/* The list that an idle entry is on, or NULL. */
static struct ledger_list *
list_of(struct spool *s, const struct ledger_entry *e)
{
	if ((e->flags & LEDGER_FILE) != 0)
		return e->dirty != 0 ? &s->dirty : NULL;
	return &journal_at(&s->journal, e->segment)->live;
}

void
spool_finish(struct spool *s, uint32_t slot)
{
	struct ledger_entry *e = ledger_at(&s->ledger, slot);
	if ((e->flags & (LEDGER_FILE | LEDGER_NAMED)) == 0) {
		spool_forget(s, slot);
		return;
	}
	/* the file may go only when its record cannot come back */
	struct segment *record = journal_at(&s->journal, e->segment);
	bool wait = record != NULL && e->segment != e->dirty;
	e->flags |= LEDGER_GONE;
	ledger_push(&s->ledger, wait ? &record->after : &s->gone, slot);
}

bool
spool_mark(struct spool *s, uint64_t id, uint32_t idx, uint32_t number)
{
	uint32_t slot = found_slot(s, id);
	if (slot == LEDGER_NONE)
		return false;
	struct ledger_entry *e = ledger_at(&s->ledger, slot);
	if (!ledger_set_done(e, idx))
		return false;
	bool busy = (e->flags & LEDGER_BUSY) != 0;
	soil(s, slot, number);
	if (e->left > 0)
		return true;
	if (!s->recovering)
		LOG(INFO, "done", F_ID(id));
	if (busy)
		return true; /* settle's answer brings the end */
	struct ledger_list *list = list_of(s, e);
	if (list != NULL)
		ledger_unlink(&s->ledger, list, slot);
	spool_finish(s, slot);
	return true;
}

void
spool_park(struct ledger_entry *e, bool held)
{
	e->flags = (uint8_t)((e->flags & ~LEDGER_PARKED) | LEDGER_WAS_PARKED |
			     (held ? LEDGER_PARKED : 0));
}

bool
spool_hold(struct spool *s, uint64_t id, bool held, uint32_t number)
{
	uint32_t slot = found_slot(s, id);
	if (slot == LEDGER_NONE)
		return false;
	struct ledger_entry *e = ledger_at(&s->ledger, slot);
	if (e->left == 0)
		return false;
	spool_park(e, held);
	soil(s, slot, number);
	return true;
}

void
spool_take_mark(struct spool *s, const struct mark *m, uint32_t number)
{
	if (mark_is_hold(m))
		(void)spool_hold(s, m->id, m->verdict == 'H', number);
	else
		(void)spool_mark(s, m->id, m->idx, number);
}

bool
spool_replace(struct spool *s, uint64_t id, struct str content, uint32_t number)
{
	struct replacement r;
	uint32_t slot = found_slot(s, id);
	if (slot == LEDGER_NONE || !replacement_open(content, &r))
		return false;
	struct ledger_entry *e = ledger_at(&s->ledger, slot);
	if (ledger_is_done(e, r.idx) || e->count != r.first)
		return false;
	if (!ledger_keep_extra(e, content))
		return false;
	if (!ledger_grow(e, r.first + r.by.count)) {
		ledger_drop_newest_extra(e);
		return false;
	}
	/* this cannot end the message: there are new recipients */
	(void)ledger_set_done(e, r.idx);
	soil(s, slot, number);
	return true;
}

/* Moves name (below dirfd) to quarantine/to, or to.2, to.3 ... when that is
 * taken.  0 or an errno; the path in *kept. */
int
spool_set_aside(struct spool *s, int dirfd, const char *name, const char *to,
    struct buf *kept)
{
	enum { TRIES = 100 };
	for (unsigned i = 1; i <= TRIES; i++) {
		buf_reset(kept);
		buf_puts(kept, "quarantine/");
		buf_puts(kept, to);
		if (i > 1) {
			buf_putc(kept, '.');
			buf_put_u64(kept, i);
		}
		const char *path = buf_cstr(kept);
		if (path == NULL)
			return ENAMETOOLONG;
		if (renameat2(dirfd, name, s->dirfd, path, RENAME_NOREPLACE) ==
		    0)
			return 0;
		if (errno != EEXIST)
			return errno;
	}
	return EEXIST;
}

void
spool_quarantine(struct spool *s, const char *name, uint64_t id)
{
	char text[20];
	char path[48];
	struct buf hex = BUF_ON(text);
	struct buf kept = BUF_ON(path);
	buf_put_hex64(&hex, id);
	int e = spool_set_aside(s, s->dirfd, name, buf_cstr(&hex), &kept);
	if (e == 0)
		LOG(ERROR, "quarantined", F_ID(id), F_TEXT("file", name),
		    F_STR("kept", buf_str(&kept)), F_TEXT("do", SPOOL_ADVICE));
	else if (e != ENOENT) /* else it is there already */
		LOG(ERROR, "quarantine-failed", F_ID(id), F_TEXT("file", name),
		    F_ERRNO(e), F_TEXT("do", SPOOL_ADVICE_REPAIR));
}

void
spool_put_aside(struct spool *s, uint32_t slot)
{
	const struct ledger_entry *e = ledger_at(&s->ledger, slot);
	const struct segment *seg = journal_at(&s->journal, e->segment);
	char name[MESS_NAME];
	char text[64];
	struct buf kept = BUF_ON(text);
	if ((e->flags & LEDGER_FILE) != 0) {
		mess_name(e->id, name);
		spool_quarantine(s, name, e->id);
	} else if (seg != NULL) {
		int error = spool_salvage(s, seg, e->offset,
		    record_span(e->meta_n, e->body_n), &kept);
		LOG(ERROR, "quarantined", F_ID(e->id),
		    F_STR("kept", buf_str(&kept)),
		    F_TEXT("error", error == 0 ? "none" : strerror(error)),
		    F_TEXT("do", SPOOL_ADVICE));
	}
}

int
spool_salvage(struct spool *s, const struct segment *seg, uint64_t from,
    uint64_t n, struct buf *kept)
{
	char *p = malloc((size_t)n + 1);
	if (p == NULL)
		return ENOMEM;
	buf_puts(kept, "quarantine/segment-");
	buf_put_u64(kept, seg->number);
	buf_putc(kept, '-');
	buf_put_u64(kept, from);
	const char *name = buf_cstr(kept);
	int64_t got = io_pread_all(seg->fd, p, (size_t)n, from);
	int e = got < 0 ? errno : 0;
	struct str bytes = { .p = p, .n = got < 0 ? 0 : (size_t)got };
	int fd = -1;
	if (e == 0) {
		fd = openat(s->dirfd, name,
		    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
		    0600);
		e = fd < 0 || io_write_all(fd, bytes) < 0 ? errno : 0;
	}
	if (fd >= 0 && close(fd) < 0 && e == 0)
		e = errno;
	free(p);
	return e;
}
