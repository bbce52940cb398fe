/* SPDX-License-Identifier: ISC
 * fsck: what the parts of postern-fsck share: the spool under inspection, and
 * how findings are told and counted.  Runs as posternq.
 */
#ifndef FSCK_H
#define FSCK_H

#include "queue/envelope.h"
#include "queue/record.h"

/* As fsck(8); they add up, but for the last two. */
enum fsck_exit {
	FSCK_CLEAN = 0,
	FSCK_MENDED = 1,
	FSCK_LEFT = 4,
	FSCK_FAILED = 8,
	FSCK_USAGE = 16
};

enum { FSCK_PATH = 320 };

/* Queue ids, sorted by ids_sort. */
struct ids {
	uint64_t *id;
	size_t n, cap;
};

struct fsck {
	int dirfd; /* the spool */
	unsigned char key[RECORD_KEY];
	bool repair, json, skip_bodies;
	bool mute;	    /* only gather ids: for --restore */
	bool live;	    /* queued runs: look only */
	bool quiet;	    /* no line for each message in quarantine */
	struct ids files;   /* messages with a file in its place */
	struct ids records; /* messages with a record in a live segment */
	uint64_t mended, left, notes, messages, quarantined;
};

/* No memory: says so and ends (8). */
void ids_add(struct ids *, uint64_t id);
void ids_sort(struct ids *);
bool ids_have(const struct ids *, uint64_t id);

/* Tells of something wrong at path and what mends it.  error: of the mending;
 * 0 (as well when nothing is being mended), an errno, or FSCK_NO_MEND. */
enum { FSCK_NO_MEND = -1 };
void fsck_found(struct fsck *, const char *path, const char *what,
    const char *mend, int error);
/* Tells something that is not wrong. */
void fsck_note(struct fsck *, const char *path, const char *text);
/* True when the finding that comes next is to be mended. */
bool fsck_mends(const struct fsck *);
/* Says why the work cannot go on, and ends (8). */
_Noreturn void fsck_die(const char *what, int error);

/* Path from parts, cut at FSCK_PATH. */
const char *fsck_path(char out[FSCK_PATH], const char *dir, const char *name);
/* Moves path to quarantine/name, or name.2, name.3 ... when that is taken.  0
 * or an errno. */
int fsck_set_aside(const struct fsck *, const char *path, const char *name);
int fsck_remove(const struct fsck *, const char *path);
int fsck_sync_dir(const struct fsck *, const char *name);

/* ---- the parts ---- */

/* Owners and modes; as root where that is needed.  before anything is read. */
void fsck_owners(struct fsck *, const char *user);
void fsck_mess(struct fsck *);
void fsck_journal(struct fsck *);
/* What is in quarantine; lists it. */
void fsck_quarantine(struct fsck *);
/* Puts the messages of these names (ids, or names of files there) back. */
void fsck_restore(struct fsck *, char **names, int count);

#endif
