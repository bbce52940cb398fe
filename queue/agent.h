/* SPDX-License-Identifier: ISC
 * agent: what agents.c (jobs and reports) and hubs.c (how agents come to be)
 * share.  Part of qmgr.
 */
#ifndef AGENT_H
#define AGENT_H

#include "common/link.h"
#include "queue/agents.h"

struct ack {
	uint64_t id;
	uint32_t idx;
};

struct agent {
	struct link link;
	struct destination *destination;
	struct agent *sibling;	      /* next of that destination */
	struct agent *before, *after; /* all agents; the dead ones by after */
	uint32_t place;
	uint32_t host; /* a name, for logs; 0: local */
	uint32_t ip;
	struct lot *lots, *last; /* that it has or will have, oldest first */
	unsigned outstanding;
	bool resuming; /* has not said yet what it has in flight */
	bool retiring; /* gets no more; closed when nothing is open */
	bool served;   /* reported a job, or had one when it was resumed */
	bool refused;  /* said F */
	bool deferred; /* its last job came back with Z only */
	bool solo;     /* has a job that killed an agent before */
	bool yields;   /* parks when its jobs are done: others wait */
	bool parked;   /* a local that is idle and has no place */
	bool given_up; /* it was told so: it needs no acknowledgement, */
	bool glimpse;  /* since its place was a brief one */
	bool leaving;  /* half-closed: it closes when its connection is over */
	bool dirty;    /* in the list of those to flush */
	struct agent *dirty_next;
	int waiting_fd;	     /* resumed before agents_resume: not read yet */
	unsigned jobs;	     /* in all */
	unsigned holds;	     /* marks and replacements that name it */
	int64_t quiet_since; /* ms: idle, or with the same job */
	int64_t took;	     /* ms to connect, until that was logged */
	struct ack *acks;
	uint32_t ack_count, ack_room;
};

/* Makes an agent of this destination with the job socket fd, which it took so
 * long to get; resumed: it may have something in flight, and says so.  Takes
 * over fd. */
void agent_new(struct destination *, uint32_t place, int fd, struct str host,
    struct str ip, int64_t took_ms, bool resumed);
/* Hands it what waits for its destination. */
void agent_feed(struct agent *);
/* A local that has nothing to do gives its place back, but lives on for a while
 * for its user's next mail. */
void agent_park(struct agent *);
/* Others wait for a place: a local parks when its jobs are done, a remote's
 * child ends. */
void agent_yield(struct agent *);
/* Has it a place?  A parked one takes one for what waits, if it may. */
bool agent_has_place(struct agent *);
/* No more jobs for it; it goes when all is acknowledged. */
void agent_retire(struct agent *);
/* Its server has not answered: unless it has by now, it says F. */
void agent_give_up(struct agent *, bool glimpse);
/* The first of all agents; the next is after. */
struct agent *agents_first(void);
/* ---- jobs.c ---- */
/* The lot is the agent's, sent or not. */
void agent_attach(struct agent *, struct lot *);
/* It is nobody's. */
void agent_detach(struct lot *);
/* What its agent did not touch goes back to the head of the queue. */
void agent_give_back(struct lot *);
/* The agent died with this lot, which is freed. */
void agent_crashed(struct agent *, struct lot *);

/* ---- reports.c ---- */
/* A packet of an agent (its link). */
void agent_packet(struct link *, struct packet *, int *fds, size_t nfds);

/* ---- hubs.c ---- */
/* Opens agents for d as it needs them, or has it wait for a place. */
void hubs_open(struct destination *);
/* One more for d, though its backlog is short, when there is a place. */
void hubs_open_extra(struct destination *);
/* An agent of d is gone, and gives its place back. */
void hubs_closed(struct destination *d, uint32_t place);
/* The host at this address serves nobody (its agent is marked refused): on to
 * the next one. */
void hubs_refused(struct destination *, struct str ip, struct str text);
/* An agent ended before it did anything: gives up for now. */
void hubs_failed(struct destination *, char verdict, struct str text);
/* The connects that are on their way: at most so many, and how many. */
struct silent;
size_t hubs_silent(struct silent *out, size_t most);
/* dial is to give up that connect; glimpse: which says nothing of the host. */
void hubs_give_up(uint64_t key, bool glimpse);
void hubs_flush(void);
void hubs_tick(int64_t now_ms);
bool hubs_connecting(void);

#endif
