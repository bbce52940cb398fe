/* SPDX-License-Identifier: ISC
 * destination: what waits for one host (or, here, one user), and what is known
 * of it.  Part of qmgr; no I/O.
 *
 * A destination is a domain, the host that control/smtproutes names for it, or
 * a local user.  What waits is kept in lots: recipients of one message that can
 * go in one job.  Each sender has a queue of its own and they take turns, so
 * that one bulk job delays nobody.
 */
#ifndef DESTINATION_H
#define DESTINATION_H

#include "common/str.h"
#include "queue/schedule.h"

enum {
	LOT_MAX = 100,	   /* recipients of one job */
	TRIED_MAX = 16,	   /* addresses given up in one attempt */
	LIMIT_FIRST = 2,   /* connections to a new destination */
	LIMIT_MAX = 20,	   /* and to one that takes everything */
	BACKLOG_EXTRA = 20 /* waiting lots per connection that open one more */
};

struct entry {
	uint32_t rcpt;
	uint32_t target; /* a name, used once: Maildir or extension */
	bool answered;
};

struct lot {
	struct lot *next; /* in its queue; of its agent */
	uint32_t message;
	uint32_t n, room;
	uint32_t left;	      /* not answered yet */
	bool sent;	      /* an agent has it */
	bool good;	      /* one of it came back with K or D */
	struct agent *agent;  /* that has it, or fetches the body for it */
	struct lot *fetching; /* next that waits for the same body */
	int64_t sent_at;      /* ms */
	struct entry one;     /* most lots hold one */
	struct entry *more;   /* or NULL */
};

struct destination {
	enum schedule_channel kind;
	uint32_t name;	 /* host:port, a domain, a user ("" = the mailbox
			  * owner) */
	uint32_t domain; /* one of the domains that lead here, for dial */
	struct destination *chain;
	struct sender_queue *turn; /* last served in the ring of senders */
	uint32_t waiting;	   /* lots */
	struct agent *agents;
	unsigned open;	     /* agents, those on their way included */
	unsigned connecting; /* on their way */
	unsigned limit;	     /* most that may be open */
	unsigned failures;   /* attempts in a row that served nobody */
	unsigned streak;     /* successes since the limit was raised */
	int64_t rest_until;  /* ms; leave it alone until then */
	uint32_t text;	     /* of the last such failure */
	uint32_t tried[TRIED_MAX];
	unsigned tried_count;
	bool dirty, starving; /* in the lists of agents.c, hubs.c */
	struct destination *dirty_next, *starving_next;
};

/* Before all else here.  Dies without memory. */
void destinations_init(void);
/* The destination of that kind and key, made when it is new.  domain: only used
 * for a new one. */
struct destination *destination_get(
    enum schedule_channel, struct str key, struct str domain);
/* Frees it when nothing waits, nothing is open and nothing is remembered. */
void destination_release(struct destination *, int64_t now_ms);
/* Releases all that can be. */
void destinations_sweep(int64_t now_ms);
/* Calls each for every one; each must not make or free one. */
void destinations_each(void (*each)(struct destination *));

/* Queues a recipient (state QUEUED); target: a name whose use passes over. */
void destination_put(
    struct destination *, uint32_t message, uint32_t rcpt, uint32_t target);
/* The lot whose turn is next, left where it is; NULL: nothing waits. */
struct lot *destination_peek(struct destination *);
/* Takes that lot; the next turn is another sender's. */
struct lot *destination_take(struct destination *);
/* Puts a lot back, first in its sender's queue, which comes next. */
void destination_back(struct destination *, struct lot *);
/* Takes out of all lots what is not wanted any more. */
void destination_trim(struct destination *, bool (*wanted)(uint32_t rcpt));

/* Learns from a served job, and from a refused connection. */
void destination_success(struct destination *);
void destination_failure(struct destination *, int64_t now_ms, struct str text);
/* True when another agent should be opened now. */
bool destination_needs_agent(const struct destination *);

/* A lot that never waited: what a resumed agent says it has in flight. */
struct lot *lot_new(uint32_t message);
void lot_add(struct lot *, uint32_t rcpt, uint32_t target);
struct entry *lot_entry(struct lot *, uint32_t i);
void lot_free(struct lot *);

#endif
