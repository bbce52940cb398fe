/* SPDX-License-Identifier: ISC
 * spool: the spool directory and what queued knows of it: the one state that
 * its modules share.  INTERNALS.md "The spool".
 */
#ifndef SPOOL_H
#define SPOOL_H

#include "queue/envelope.h"
#include "queue/journal.h"
#include "queue/ledger.h"
#include "queue/mess.h"

/* Ids of the files that recovery found, in order; see found.h. */
struct found {
	uint64_t *id;
	size_t n, cap;
	size_t at, left; /* the next to read; how many are not read */
	int64_t began, paused_until; /* ms */
};

struct spool {
	int dirfd, lockfd;
	unsigned char key[RECORD_KEY];
	struct journal journal;
	struct ledger ledger;
	struct ledger_list dirty; /* complete files that lack a change */
	struct ledger_list gone;  /* files to remove */
	uint64_t last_id;
	struct found found;
	void (*on_drop)(uint32_t slot); /* before a slot is reused */
	void (*on_add)(uint32_t slot);	/* one was found */
	bool recovering;		/* no line for what was done long ago */
};

/* Opens the directory: makes what is missing, takes the lock, reads or makes
 * the key.  Dies: 100 when the spool is newer than this program or its key is
 * lost, 111 when another queued has it or the disk fails. */
void spool_open(struct spool *, int dirfd);
/* Brings ledger and journal to what the disk holds, but for the files that no
 * record speaks of: found_run reads those.  In the sandbox.  Dies (111) when
 * there is no memory or the directory cannot be read. */
void spool_recover(struct spool *);

/* A new queue id: later than all before, and now or later. */
uint64_t spool_next_id(struct spool *);

/* The mark of recipient idx of id is durable in segment number.  True when the
 * recipient was unfinished until now. */
bool spool_mark(struct spool *, uint64_t id, uint32_t idx, uint32_t number);
/* The message is held, or not any more: durable in segment number.  False: it
 * is not there. */
bool spool_hold(struct spool *, uint64_t id, bool held, uint32_t number);
/* Sets the flags for that. */
void spool_park(struct ledger_entry *, bool held);
/* What a durable mark says. */
void spool_take_mark(struct spool *, const struct mark *, uint32_t number);
/* The replacement (content: as in its record) is durable in segment number.
 * False: not applied (unknown, finished already, no memory). */
bool spool_replace(
    struct spool *, uint64_t id, struct str content, uint32_t number);
/* Forgets the finished message in slot, or sees to it that its file is
 * removed.  It is on no list. */
void spool_finish(struct spool *, uint32_t slot);
/* All changes of a file are on their way into it; and: they are (not) there. */
void spool_flush_begins(struct ledger_entry *);
void spool_flush_ends(struct spool *, struct ledger_entry *, bool done);
/* Drops a message that is on no list and has no file (any more). */
void spool_forget(struct spool *, uint32_t slot);
/* Moves name below dirfd to quarantine/to (or to.2 ...).  0 or an errno; the
 * new path in *kept. */
int spool_set_aside(struct spool *, int dirfd, const char *name, const char *to,
    struct buf *kept);
/* Copies n bytes of a segment that cannot be used to quarantine/; the name in
 * `kept`, the errno or 0 is returned. */
int spool_salvage(struct spool *, const struct segment *, uint64_t from,
    uint64_t n, struct buf *kept);
/* Moves what is left of a damaged file to quarantine/, never over another, and
 * logs it. */
void spool_quarantine(struct spool *, const char *name, uint64_t id);
/* The same of the message in slot, wherever it lies; it stays in the ledger. */
void spool_put_aside(struct spool *, uint32_t slot);

/* What the log says to do about what is in quarantine, or strange. */
#define SPOOL_ADVICE	    "postern queue fsck lists what is whole"
#define SPOOL_ADVICE_REPAIR "stop Postern, postern queue fsck --repair"

#endif
