/* SPDX-License-Identifier: ISC
 * destination: what waits for one host (or, here, one user), and what is known
 * of it.  Part of qmgr; no I/O.
 *
 * A destination is a domain, the host that control/smtproutes names for it, or
 * a local user.  What waits is kept in lots.  Each sender has a queue of its
 * own for each rank; the senders of a rank take turns, and so do the ranks, the
 * better ones far more often, so that one bulk job delays nobody.
 */
#ifndef DESTINATION_H
#define DESTINATION_H

#include "common/str.h"
#include "queue/hostrules.h"
#include "queue/lot.h"
#include "queue/schedule.h"

enum {
	TRIED_MAX = 16,	   /* addresses given up in one attempt */
	LIMIT_FIRST = 2,   /* connections to a new destination */
	BACKLOG_EXTRA = 20 /* waiting lots per connection that open one more */
};

struct destination {
	enum schedule_channel kind;
	uint32_t name;	 /* host:port, a domain, a user ("" = the mailbox
			  * owner) */
	uint32_t domain; /* one of the domains that lead here, for dial */
	struct destination *chain;
	struct sender_queue
	    *turn[RANKS]; /* last served in the ring of senders */
	uint32_t waiting; /* lots */
	uint32_t waiting_of[RANKS], flying_of[RANKS];
	unsigned turns; /* lots taken so far */
	struct agent *agents;
	unsigned open;	     /* agents, those on their way included */
	unsigned connecting; /* on their way */
	unsigned limit;	     /* most that may be open */
	unsigned failures;   /* attempts in a row that served nobody */
	unsigned streak;     /* successes since the limit was raised */
	unsigned setbacks;   /* jobs all deferred since it was lowered */
	int64_t rest_until;  /* ms; leave it alone until then */
	uint32_t text;	     /* of the last such failure */
	uint32_t tried[TRIED_MAX];
	unsigned tried_count;
	bool dirty; /* in the list of agents.c */
	struct destination *dirty_next;
	bool starving; /* in the lists of places.c, */
	bool starving_fresh;
	enum rank starving_rank;
	struct destination *starving_before, *starving_after;
	bool glimpsed;	    /* had a brief place, and no other since */
	bool slow;	    /* a delivery took over a second */
	int64_t slow_until; /* ms; so long that is remembered */
	bool pacing;	    /* in the list of pace.c */
	struct destination *pacing_next;
	int64_t next_us; /* when the next message may go */
	bool ruled;	 /* destination_rule was called */
	struct hostrule rule;
};

/* Before all else here.  Dies without memory. */
void destinations_init(void);
/* The destination of that kind and key, made when it is new.  domain: only used
 * for a new one. */
struct destination *destination_get(
    enum schedule_channel, struct str key, struct str domain);
/* What control/destinations says of it. */
void destination_rule(struct destination *, struct hostrule);
/* Frees it when nothing waits, nothing is open and nothing is remembered. */
void destination_release(struct destination *, int64_t now_ms);
/* Releases all that can be. */
void destinations_sweep(int64_t now_ms);
/* Calls each for every one; each must not make or free one. */
void destinations_each(void (*each)(struct destination *));

/* Queues a recipient (state QUEUED); target: a name whose use passes over. */
void destination_put(
    struct destination *, uint32_t message, uint32_t rcpt, uint32_t target);
/* The best rank that waits; RANK_BOUNCE when none does. */
enum rank destination_rank(const struct destination *);
/* The lot whose turn is next, left where it is; NULL: nothing waits. */
struct lot *destination_peek(struct destination *);
/* Takes that lot; the next turn is another sender's. */
struct lot *destination_take(struct destination *);
/* Puts a lot back, first in its sender's queue, which comes next. */
void destination_back(struct destination *, struct lot *);
/* Takes out of all lots what is not wanted any more. */
void destination_trim(struct destination *, bool (*wanted)(uint32_t rcpt));

/* Learns from a job that was served or only deferred, and from a refused
 * connection. */
void destination_success(struct destination *);
void destination_deferred(struct destination *);
void destination_failure(struct destination *, int64_t now_ms, struct str text);
/* True when another agent should be opened now. */
bool destination_needs_agent(const struct destination *);

#endif
