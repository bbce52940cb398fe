/* SPDX-License-Identifier: ISC
 * room: contract in room.h.
 */
#include "queue/room.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include "common/clock.h"
#include "common/log.h"

enum {
	ROOM_WAIT_MS = 20000,
	LOOK_EVERY_MS = 1000,
	COMPLAIN_EVERY_MS = 60000,
	FAILURES_MAX = 2,
	USERS_TIMES = 2 /* the floor, for this host's users */
};

static const char short_of_space[] = "4.3.1 Spool is short of space";
static const char ring_full[] = "4.3.1 Spool is full, try again later";

static struct spool *spool;
static struct room_limits limits;
static bool broken; /* two writes failed in a row */
static enum shortage { NONE, FOR_USERS, FOR_ALL } shortage;
static int64_t next_look, next_complaint;

void
room_init(struct spool *s, const struct room_limits *l)
{
	spool = s;
	limits = *l;
}

void
room_set_limits(const struct room_limits *l)
{
	limits = *l;
	next_look = 0;
}

static void
complain(const char *event, uint64_t have, uint64_t want)
{
	int64_t now = clock_mono_ms();
	if (now < next_complaint)
		return;
	next_complaint = now + COMPLAIN_EVERY_MS;
	LOG(ERROR, event, F_NUM("have", have), F_NUM("want", want));
}

/* What is short, said once a minute. */
static enum shortage
compare(const char *event, uint64_t have, uint64_t floor)
{
	uint64_t for_users = floor * USERS_TIMES;

	if (have >= for_users)
		return NONE;
	complain(event, have, have < floor ? floor : for_users);
	return have < floor ? FOR_ALL : FOR_USERS;
}

void
room_look(void)
{
	struct statvfs v;
	int64_t now = clock_mono_ms();
	if (now < next_look)
		return;
	next_look = now + LOOK_EVERY_MS;
	if (fstatvfs(spool->dirfd, &v) < 0) {
		LOG(ERROR, "statvfs", F_ERRNO(errno));
		return;
	}
	uint64_t bytes = (uint64_t)v.f_bavail * v.f_frsize;
	enum shortage before = shortage;
	shortage = compare("few-bytes", bytes, limits.floor_bytes);
	/* f_files is 0 where the file system makes inodes as it goes */
	enum shortage inodes =
	    v.f_files == 0
		? NONE
		: compare("few-inodes", v.f_favail, limits.floor_inodes);
	if (shortage < inodes)
		shortage = inodes;
	if (shortage == NONE && before != NONE)
		LOG(INFO, "space-again", F_NUM("bytes", bytes));
}

/* A local user who fills the disk stops no mail but his and his like's. */
static bool
is_short(const struct draft *d)
{
	return shortage >= (d->of_user ? FOR_USERS : FOR_ALL);
}

static bool
has_room(const struct draft *d)
{
	const struct journal *j = &spool->journal;
	if (d->bounce || j->free > JOURNAL_RESERVE)
		return true;
	return j->free == JOURNAL_RESERVE &&
	       (d->fd >= 0 || journal_fits(j, draft_meta(d).n, d->size));
}

bool
room_must_wait(struct draft *d)
{
	if (d->verdict != 'K' || broken || is_short(d) || has_room(d))
		return false;
	int64_t now = clock_mono_ms();
	if (d->waits_since == 0)
		d->waits_since = now;
	return now - d->waits_since < ROOM_WAIT_MS;
}

const char *
room_refusal(const struct draft *d)
{
	if (broken)
		return ROOM_FAILED;
	if (is_short(d) && !d->bounce)
		return short_of_space;
	if (has_room(d) || spool->journal.iov_count > 0)
		return NULL;
	complain("journal-full", spool->journal.free, JOURNAL_RESERVE + 1);
	return ring_full;
}

bool
room_make(uint64_t meta_n, uint64_t body_n, bool privileged)
{
	struct journal *j = &spool->journal;
	if (journal_fits(j, meta_n, body_n))
		return true;
	if (j->iov_count > 0 || broken)
		return false; /* after this batch */
	unsigned keep = privileged ? 0 : JOURNAL_RESERVE;
	while (j->free > keep && j->failures < FAILURES_MAX) {
		if (journal_advance(j, spool->last_id) == 0)
			return journal_fits(j, meta_n, body_n);
		LOG(ERROR, "segment-failed", F_ERRNO(errno));
	}
	return false;
}

bool
room_is_broken(void)
{
	if (spool->journal.failures >= FAILURES_MAX && !broken) {
		broken = true;
		LOG(ERROR, "no-more-mail",
		    F_TEXT("reason", "two syncs in a row have failed"));
	}
	return broken;
}
