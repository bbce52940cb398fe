/* SPDX-License-Identifier: ISC
 * journal: the ring of segments.  Records are gathered to a batch, which one
 * write makes durable; segments are freed strictly oldest first.
 * INTERNALS.md "The spool".
 */
#ifndef JOURNAL_H
#define JOURNAL_H

#include <sys/uio.h>
#include "common/limits.h"
#include "queue/bytes.h"
#include "queue/ledger.h"
#include "queue/record.h"

enum {
	JOURNAL_MAX = LIMIT_SEGMENTS,		  /* a power of two */
	JOURNAL_LARGEST = LIMIT_SEGMENT_MB << 20, /* bytes of one */
	JOURNAL_RESERVE = 2, /* kept for marks, bounces and settling */
	JOURNAL_IOV = 1024,  /* IOV_MAX of Linux */
	JOURNAL_BATCH = 8 * 1024 * 1024,
	JOURNAL_NAME = 8 /* "0000" and its NUL */
};

enum segment_state {
	SEGMENT_ABSENT,
	SEGMENT_MAKING, /* settle writes its zeros */
	SEGMENT_FREE,
	SEGMENT_OPEN,
	SEGMENT_FULL,	/* takes no more records */
	SEGMENT_FAILED, /* a sync failed: never written or synced again */
	SEGMENT_REMOVING
};

struct segment {
	enum segment_state state;
	int fd;
	uint32_t number; /* 1, 2, 3 ...: one for each opening */
	uint64_t epoch;
	uint64_t size, used;
	bool spoiled;	/* some of it cannot be read: kept, not used again */
	uint32_t dirty; /* messages whose files lack a change that is here */
	struct ledger_list
	    live; /* unfinished messages whose only copy is here */
	struct ledger_list settled; /* of these settle makes files now */
	struct ledger_list after; /* finished; their files go when it is free */
};

struct journal {
	int dirfd; /* journal/ */
	unsigned char key[RECORD_KEY];
	unsigned max;		 /* segments that may be made */
	uint64_t size;		 /* of those that are made from now on */
	unsigned free;		 /* how many are SEGMENT_FREE */
	unsigned made;		 /* how many are not SEGMENT_ABSENT */
	uint32_t oldest, newest; /* numbers in use; none when oldest > newest */
	uint64_t sequence;	 /* of the last record */
	unsigned failures;	 /* writes that failed, in a row */
	bool no_dsync;		 /* the file system knows no RWF_DSYNC */
	struct segment *open;	 /* NULL: none */
	struct segment seg[JOURNAL_MAX];
	struct segment *by_number[JOURNAL_MAX];
	/* the batch */
	struct iovec iov[JOURNAL_IOV];
	int iov_count;
	uint64_t batch_at, batch_n;
};

/* No segment is there yet; at most max, of size bytes each.  Borrows dirfd. */
void journal_init(struct journal *, int dirfd,
    const unsigned char key[RECORD_KEY], unsigned max, uint64_t size);
/* The file name of segment i. */
void journal_name(size_t i, char out[JOURNAL_NAME]);
/* Makes segment i: its zeros written and synced, then named, the directory
 * synced.  0, or -1 with errno and no trace left.  Used by settle as well. */
int journal_make(int dirfd, size_t i, uint64_t size);
/* Was this segment, of size bytes, never opened?  1: all of it is zeros.  0: no,
 * for zeros at its beginning alone may be damage, with mail behind them.  -1
 * with errno: it cannot be read. */
int journal_is_new(int fd, uint64_t size);
/* Takes an existing file of segment i into the ring: opened, its state FREE.
 * 0, or -1 with errno. */
int journal_adopt(struct journal *, size_t i);
/* Takes a found segment, adopted before, for one that holds records: FULL.
 * False: its number is another's, or too far from the others'. */
bool journal_found(
    struct journal *, struct segment *, const struct segment_head *);

/* The segment with this number, or NULL. */
struct segment *journal_at(const struct journal *, uint32_t number);
/* Closes the open segment, and opens a free one: its header is synced.  0; -1
 * with ENOSPC: none free; -1 with another errno: that segment has failed. */
int journal_advance(struct journal *, uint64_t last_id);

/* True when a record fits the open segment and the batch. */
bool journal_fits(const struct journal *, uint64_t meta_n, uint64_t body_n);
/* Puts a record that fits into the batch.  `headed` holds RECORD_HEAD spare
 * bytes and the meta part; both must stay as they are until journal_commit.
 * Returns the record's offset. */
uint64_t journal_add(struct journal *, enum record_type, uint64_t id,
    struct bytes *headed, struct bytes *body);
/* Writes and syncs the batch.  0; -1 with errno: the segment has failed, none
 * is open, and nothing of the batch may be called durable. */
int journal_commit(struct journal *);

/* True when nothing in the oldest segment is needed any more. */
bool journal_oldest_idle(const struct journal *);
/* Frees the oldest segment, which is idle and FULL.  False: its header could
 * not be made durable, it has failed. */
bool journal_retire(struct journal *);
/* The oldest segment, which had failed, has been removed. */
void journal_removed(struct journal *);

#endif
