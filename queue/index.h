/* SPDX-License-Identifier: ISC
 * index: every message in the queue and its unfinished recipients.  Part of
 * qmgr; no I/O.  At rest a recipient costs 32 bytes, its place in the heap 4, a
 * message 44, plus the addresses, which are kept once (names).
 */
#ifndef INDEX_H
#define INDEX_H

#include "common/str.h"
#include "queue/pool.h"

enum rcpt_state {
	RCPT_FREE,	/* no recipient */
	RCPT_NEW,	/* told by queued, not scheduled yet (start) */
	RCPT_WAITING,	/* in the heap, for its next attempt */
	RCPT_HELD,	/* its message killed agents: waits for an order */
	RCPT_ASKING,	/* busy: userd is asked where it goes */
	RCPT_QUEUED,	/* busy: waits in its destination's queue */
	RCPT_FLYING,	/* busy: with an agent */
	RCPT_REPLACING, /* busy: queued writes its targets */
	RCPT_MARKING,	/* final; queued makes the mark durable */
	RCPT_FAILED,	/* final; its bounce is being made */
	RCPT_DONE,	/* nothing left to do; goes with its message */
	RCPT_STATES
};

enum rcpt_flag {
	RCPT_MAYBE = 1,	   /* may have been delivered before */
	RCPT_DELETE = 2,   /* an administrator wants it gone */
	RCPT_FORCE = 4,	   /* try now, whatever is known of the host */
	RCPT_REMOTE = 8,   /* went to another host the last time */
	RCPT_IN_LOT = 16,  /* MARKING, but a lot still names it */
	RCPT_MARKED = 32,  /* and its mark is durable */
	RCPT_BOUNCING = 64 /* FAILED, and in the bounce that is out */
};

struct rcpt {
	uint32_t message;
	uint32_t sibling; /* next of its message */
	uint32_t link;	  /* WAITING: place in the heap; ASKING: next */
	uint32_t due;	  /* WAITING: when, in ticks (due.h) */
	uint32_t name;	  /* its address */
	uint32_t text;	  /* of the last deferral or failure; 0: none */
	uint32_t idx;	  /* its number in queued's envelope */
	uint8_t state, flags, attempts;
	uint8_t depth; /* how many aliases and forwards led here */
};

enum message_flag {
	MESSAGE_MORE = 1,  /* queued will tell more recipients */
	MESSAGE_EPOCH = 2, /* told since queued's newest link */
	MESSAGE_8BIT = 4,
	MESSAGE_HELD = 8,
	MESSAGE_SETTLE = 16, /* in delivery's list of those to look at again */
	MESSAGE_PARKED = 32  /* HELD by an administrator, in queued too */
};

/* Unfinished recipients of a message: more than queued ever tells of. */
enum { RCPTS_MAX = 60000 };

struct message {
	uint32_t id_high, id_low;
	uint32_t birth;	 /* seconds since 1970 */
	uint32_t size;	 /* for lists; UINT32_MAX: that or more */
	uint32_t sender; /* a name; 0: the null sender */
	uint32_t first;	 /* its first recipient */
	uint32_t chain;	 /* next in its hash bucket */
	uint32_t work;	 /* its struct work, while anything is done with it */
	uint16_t live;	 /* recipients that are not DONE */
	uint16_t busy;	 /* recipients in a busy state */
	uint8_t flags;
	uint8_t crashes;   /* agents that died with it */
	uint16_t replaced; /* aliases and forwards so far */
};

/* What a message needs only while something is done with it. */
struct work {
	int fd; /* its body; -1: not here */
	uint32_t sid;
	uint64_t offset, size;
	uint32_t failed;       /* recipients FAILED, in no bounce yet */
	int64_t failed_at;     /* ms, the first of them */
	struct lot *fetching;  /* wait for the body */
	struct bounce *bounce; /* being made; one at a time */
	uint32_t body_wish;    /* notes' O, unanswered; 0: none */
	uint32_t replacing;    /* W unanswered */
	uint32_t holds;	       /* marks that hold or release, unanswered */
	uint8_t depth;	       /* of the recipients that those will make */
};

/* Before all else here.  Dies without memory. */
void index_init(void);
/* The message's number; 0: unknown. */
uint32_t index_find(uint64_t id);
/* Adds a message; its id must be unknown. */
uint32_t index_add(uint64_t id, uint64_t birth, uint64_t size,
    struct str sender, uint8_t flags);
/* Adds a recipient in state NEW behind the others; 0: the message has
 * RCPTS_MAX of them. */
uint32_t index_add_rcpt(uint32_t message, uint32_t idx, struct str address);
/* The recipient of that idx; 0: none.  Looks at *hint first (may be NULL, may
 * hold 0) and leaves there the one behind, so that a run of rising idx is
 * cheap. */
uint32_t index_find_rcpt(uint32_t message, uint32_t idx, uint32_t *hint);
/* Moves a recipient to another state and keeps every count right.  DONE: its
 * names are given back. */
void rcpt_set(uint32_t rcpt, enum rcpt_state);
/* Replaces its text. */
void rcpt_text(uint32_t rcpt, struct str text);
/* Gives back DONE recipients; the message too when it has no others and no more
 * are to come: then false. */
bool index_sweep(uint32_t message);

/* By number; valid until the message or recipient is given back. */
struct message *message_at(uint32_t);
struct rcpt *rcpt_at(uint32_t);
uint64_t message_id(const struct message *);
/* The message's work, made when there is none. */
struct work *message_work(uint32_t message);
/* NULL when it has none. */
struct work *message_working(uint32_t message);
/* Frees the work; its fd must be closed or given away. */
void message_rest(uint32_t message);

/* For walks over everything: numbers 1 .. end - 1; look at the state (or
 * message_used) of each. */
uint32_t index_message_end(void);
uint32_t index_rcpt_end(void);
bool message_used(uint32_t message);
/* Counts of recipients by state and, of the last attempt, channel. */
uint64_t index_count(enum rcpt_state, bool remote);
uint32_t index_messages(void);
uint32_t index_rcpts(void);
/* Changes the channel flag and keeps the counts right. */
void rcpt_remote(uint32_t rcpt, bool remote);

#endif
