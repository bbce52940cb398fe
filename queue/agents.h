/* SPDX-License-Identifier: ISC
 * agents: the processes that deliver (local, remote), their job sockets, and
 * the hubs that start them (become, dial, remote).  Part of qmgr.
 */
#ifndef AGENTS_H
#define AGENTS_H

#include "queue/delivery.h"

struct agents_counts {
	unsigned local, remote, connecting;
};

/* Limits: concurrencylocal, concurrencyremote; without apply they are only
 * checked.  0, or -1 (logged). */
int agents_load(int control_dirfd, bool apply);
/* This process, dial and remote may have so many descriptors open: more agents
 * than these suffice for there never are.  Before the first agents_load. */
void agents_files(uint64_t limit);
/* Its concurrency is 0: nothing is to be delivered there now. */
bool agents_stopped(enum schedule_channel);
void agents_become_link(int fd);
void agents_dial_link(int fd);
void agents_remote_link(int fd);
/* Start: true when become and remote have named every running agent, */
bool agents_named(void);
/* and when each of those has said what it has in flight.  They are read only
 * after agents_resume. */
bool agents_resumed(void);
void agents_resume(void);
/* Lots wait here: have an agent take them before the next wait. */
void agents_wanted(struct destination *);
/* The mark of a recipient that this agent reported is durable. */
void agents_ack(struct agent *, uint64_t id, uint32_t idx);
/* One more (or no longer any) thing that refers to the agent. */
void agents_hold(struct agent *);
void agents_let_go(struct agent *);
/* queued answered the request for the body; text: why there is none. */
void agents_body(uint32_t message, bool there, struct str text);
/* Sends jobs and acknowledgements; opens and closes agents. */
void agents_flush(void);
/* The suite stops: no job is begun any more. */
void agents_finish(void);
/* How many have something in flight, or a report that is not acknowledged. */
unsigned agents_at_work(void);
/* Looks after time: idle agents, slow ones.  Call every tenth of a second while
 * agents_busy(). */
void agents_tick(int64_t now_ms);
bool agents_busy(void);
struct agents_counts agents_count(void);

#endif
