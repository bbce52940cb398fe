/* SPDX-License-Identifier: ISC
 * ledger: queued's index in memory: every message that is not finished, where
 * it lies, and which of its recipients are done.  About 100 bytes a message, by
 * number of slot rather than by pointer.
 */
#ifndef LEDGER_H
#define LEDGER_H

#include "common/str.h"

#define LEDGER_NONE UINT32_MAX

/* A list of slots, linked through the entries themselves. */
struct ledger_list {
	uint32_t head, tail, count;
};

#define LEDGER_LIST                                                            \
	((struct ledger_list){ .head = LEDGER_NONE, .tail = LEDGER_NONE })

enum ledger_flag {
	LEDGER_FILE = 1,    /* its file in mess/ is complete */
	LEDGER_BUSY = 2,    /* settle is at work on it */
	LEDGER_GONE = 4,    /* finished; what is left is to remove the file */
	LEDGER_NAMED = 8,   /* a file may be there, complete or not */
	LEDGER_BROKEN = 16, /* one of settle's requests failed */
	LEDGER_HELD = 32,   /* qmgr has a descriptor of the body */
	LEDGER_PARKED = 64, /* an administrator holds it */
	LEDGER_WAS_PARKED = 128 /* its file may say that one does */
};

/* Recipients that a replacement brought and that its file does not hold. */
struct ledger_extra {
	struct ledger_extra *next;
	uint32_t n;
	char content[]; /* as envelope.h's replacement */
};

struct ledger_entry {
	uint64_t id;
	union {
		uint64_t bits;
		uint64_t *map; /* when there are more than 64 recipients */
	} done;
	struct ledger_extra *extra; /* oldest first */
	uint32_t older, newer;
	uint32_t before, after;		 /* in the list that it is on */
	uint32_t count, left;		 /* recipients: all, unfinished */
	uint32_t meta_n, body_n, offset; /* of its record */
	uint32_t segment;		 /* of its record; 0: never had one */
	uint32_t dirty; /* oldest segment with a change that its file lacks */
	uint32_t flushing; /* the same, of the change that settle writes now */
	uint32_t extras_sent; /* how many of `extra` settle writes now */
	uint8_t flags;
	uint8_t unread; /* how often settle could not read its record */
	uint16_t ops;	/* requests that settle has */
};

struct ledger {
	struct ledger_entry *entry;
	uint32_t cap, used, free; /* free: first of the free slots */
	uint32_t *bucket;
	uint32_t mask;
	uint32_t oldest, newest; /* by age */
	uint32_t count;
};

/* False: no memory. */
bool ledger_init(struct ledger *);
void ledger_free(struct ledger *);
/* Adds a message behind all others, with `count` unfinished recipients.  The
 * slot, or LEDGER_NONE: no memory, or the id is there. */
uint32_t ledger_add(struct ledger *, uint64_t id, uint32_t count);
uint32_t ledger_find(const struct ledger *, uint64_t id);
/* Valid until the next ledger_add. */
struct ledger_entry *ledger_at(const struct ledger *, uint32_t slot);
/* Forgets a message that is on no list. */
void ledger_drop(struct ledger *, uint32_t slot);

/* True for a recipient that is finished, or that there is not. */
bool ledger_is_done(const struct ledger_entry *, uint32_t idx);
/* True when it was not finished before. */
bool ledger_set_done(struct ledger_entry *, uint32_t idx);
/* Makes room for more recipients, unfinished ones.  False: no memory. */
bool ledger_grow(struct ledger_entry *, uint32_t count);
/* The states as mess.h's bitmap, ledger_state_n(e) bytes. */
size_t ledger_state_n(const struct ledger_entry *);
void ledger_state(const struct ledger_entry *, char *out);
/* Keeps a replacement's content (a copy).  False: no memory. */
bool ledger_keep_extra(struct ledger_entry *, struct str content);
void ledger_drop_newest_extra(struct ledger_entry *);
/* Forgets the oldest `count` of them. */
void ledger_drop_extras(struct ledger_entry *, uint32_t count);

/* A slot is on one of these lists at the most; a new one comes last. */
void ledger_push(struct ledger *, struct ledger_list *, uint32_t slot);
void ledger_unlink(struct ledger *, struct ledger_list *, uint32_t slot);

#endif
