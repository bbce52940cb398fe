/* SPDX-License-Identifier: ISC
 * agents: their life; contract in agents.h and agent.h.  jobs.c hands them
 * work, reports.c takes what they say, hubs.c has them started.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/io.h"
#include "common/limits.h"
#include "common/log.h"
#include "queue/agent.h"
#include "queue/names.h"
#include "queue/patience.h"
#include "queue/places.h"

enum {
	LOCAL_IDLE_MS = 10000,
	REMOTE_IDLE_MS = 1000,
	SLOW_LOCAL_MS = 1000,	 /* a delivery here that takes so long: slow, */
	SLOW_MEMORY_MS = 600000, /* and remembered */
	SLOW_MS = 10000,  /* one job takes so long: others get a connection */
	LEAVE_MS = 10000, /* a child of remote waits for 5 s after QUIT */
	JOBS_UNKNOWN = 1 << 30, /* of a resumed agent: it has had enough */
	ACK_PACKET = 8 * 1024,
	ACKS_MAX = (ACK_PACKET - 8) / 12
};

static struct agent *first, *dead, *dirty_agents;
static struct destination *dirty_first, *dirty_last;
static bool reading; /* resumed agents are read */
static bool finishing;
static unsigned parked;

static void on_room(struct link *);
static void on_lost(struct link *);

static struct agent *
agent_of(struct link *l)
{
	return (struct agent *)(void *)l; /* its first member */
}

bool
agents_busy(void)
{
	return first != NULL || hubs_connecting();
}

/* ---- birth and death ---- */

void
agent_new(struct destination *d, uint32_t place, int fd, struct str host,
    struct str ip, int64_t took_ms, bool resumed)
{
	struct agent *a = must_alloc(sizeof(*a));
	*a = (struct agent){
		.link = LINK_DOWN("agent", agent_packet, on_room, on_lost),
		.destination = d,
		.place = place,
		.sibling = d->agents,
		.after = first,
		.host = names_take(host),
		.ip = names_take(ip),
		.resuming = resumed,
		.served = resumed,
		.jobs = resumed ? JOBS_UNKNOWN : 0,
		.waiting_fd = -1,
		.quiet_since = clock_mono_ms(),
		.took = took_ms,
	};
	d->agents = a;
	if (first != NULL)
		first->before = a;
	first = a;
	if (resumed && !reading)
		a->waiting_fd = fd;
	else if (!link_open(&a->link, fd))
		on_lost(&a->link);
	else
		agents_wanted(d);
}

static void
make_dirty(struct agent *a)
{
	if (a->dirty)
		return;
	a->dirty = true;
	a->dirty_next = dirty_agents;
	dirty_agents = a;
}

/* Out of all lists but the dead's; freed when nothing names it any more. */
static void
bury(struct agent *a)
{
	struct destination *d = a->destination;
	struct agent **at = &d->agents;
	link_close(&a->link);
	io_close(&a->waiting_fd);
	while (*at != a)
		at = &(*at)->sibling;
	*at = a->sibling;
	if (a->before != NULL)
		a->before->after = a->after;
	else
		first = a->after;
	if (a->after != NULL)
		a->after->before = a->before;
	a->ack_count = 0;
	a->after = dead;
	dead = a;
	if (a->parked)
		parked--;
	else
		hubs_closed(d, a->place);
	agents_wanted(d);
}

static void
free_dead(void)
{
	struct agent **at = &dead;
	while (*at != NULL) {
		struct agent *a = *at;
		if (a->holds > 0 || a->dirty) {
			at = &a->after;
			continue;
		}
		*at = a->after;
		names_drop(a->host);
		names_drop(a->ip);
		free(a->acks);
		free(a);
	}
}

void
agent_retire(struct agent *a)
{
	a->retiring = true;
	make_dirty(a);
}

/* The one that has been parked for the longest time ends. */
static void
retire_oldest(void)
{
	struct agent *oldest = NULL;
	for (struct agent *a = first; a != NULL; a = a->after)
		if (a->parked && !a->retiring &&
		    (oldest == NULL || a->quiet_since <= oldest->quiet_since))
			oldest = a;
	if (oldest != NULL)
		agent_retire(oldest);
}

void
agent_park(struct agent *a)
{
	a->yields = false;
	a->parked = true;
	a->jobs = 0;
	hubs_closed(a->destination, a->place);
	agents_wanted(a->destination);
	if (++parked > LIMIT_PARKED)
		retire_oldest();
}

/* Parks an idle local, if there is one. */
static void
make_place(void)
{
	for (struct agent *a = first; a != NULL; a = a->after) {
		const struct destination *d = a->destination;
		if (d->kind != SCHEDULE_LOCAL || d->name == 0 ||
		    a->outstanding > 0 || a->parked || a->retiring ||
		    a->resuming || d->waiting > 0)
			continue;
		agent_park(a);
		return;
	}
}

void
agent_yield(struct agent *a)
{
	if (a->destination->kind == SCHEDULE_REMOTE)
		agent_retire(a);
	else
		a->yields = !a->parked && a->destination->name != 0;
	agents_wanted(a->destination);
}

bool
agent_has_place(struct agent *a)
{
	struct destination *d = a->destination;
	if (a->yields && a->outstanding == 0)
		agent_park(a);
	if (!a->parked || a->retiring)
		return !a->yields;
	if (destination_peek(d) == NULL)
		return false;
	if (!places_free(d))
		return false;
	a->place = places_take(d);
	a->parked = false;
	parked--;
	return true;
}

/* What it is told by that, see INTERNALS.md "Agents". */
void
agent_give_up(struct agent *a, bool glimpse)
{
	if (shutdown(a->link.watch.fd, SHUT_WR) < 0)
		LOG(WARN, "shutdown", F_ERRNO(errno));
	a->given_up = true;
	a->glimpse = glimpse;
	agent_retire(a);
}

struct agent *
agents_first(void)
{
	return first;
}

void
agents_hold(struct agent *a)
{
	a->holds++;
}

void
agents_let_go(struct agent *a)
{
	a->holds--;
	if (a->retiring)
		make_dirty(a);
}

/* ---- what others ask for ---- */

void
agents_wanted(struct destination *d)
{
	if (d->dirty)
		return;
	d->dirty = true;
	d->dirty_next = NULL;
	if (dirty_last != NULL)
		dirty_last->dirty_next = d;
	else
		dirty_first = d;
	dirty_last = d;
}

void
agents_ack(struct agent *a, uint64_t id, uint32_t idx)
{
	if (!link_is_up(&a->link))
		return;
	if (a->ack_count == a->ack_room) {
		a->ack_room = a->ack_room == 0 ? 64 : a->ack_room * 2;
		a->acks = must_grow(a->acks, a->ack_room, sizeof(a->acks[0]));
	}
	a->acks[a->ack_count++] = (struct ack){ .id = id, .idx = idx };
	make_dirty(a);
}

static void
on_room(struct link *l)
{
	struct agent *a = agent_of(l);
	make_dirty(a);
	agents_wanted(a->destination);
}

/* ---- an agent is gone ---- */

static void
on_lost(struct link *l)
{
	struct agent *a = agent_of(l);
	struct destination *d = a->destination;
	bool useless =
	    !a->served && !a->refused && !a->retiring && a->lots == NULL;
	for (struct lot *lot = a->lots; lot != NULL;) {
		struct lot *next = lot->next;
		if (!lot->sent) {
			agent_give_back(lot);
			useless = !a->served && !a->refused;
		}
		lot = next;
	}
	while (a->lots != NULL)
		agent_crashed(a, a->lots);
	a->refused = a->refused || useless;
	if (useless && d->kind == SCHEDULE_REMOTE)
		hubs_refused(d, names_str(a->ip),
		    STR("4.3.0 the sending process ended"));
	if (a->deferred && !a->retiring && d->limit > 1)
		d->limit /= 2; /* it hung up on us */
	bury(a);
	if (useless && d->kind == SCHEDULE_LOCAL)
		hubs_failed(d, 'Z', STR("4.3.0 the delivering process ended"));
}

/* ---- before each wait ---- */

/* Sends acknowledgements, as many in a packet as it takes. */
static void
flush_acks(struct agent *a)
{
	static char space[ACK_PACKET];
	uint32_t done = 0;
	while (done < a->ack_count) {
		struct buf out = BUF_ON(space);
		uint32_t n = a->ack_count - done;
		if (n > ACKS_MAX)
			n = ACKS_MAX;
		packet_begin(&out, 'K');
		packet_u32(&out, n);
		for (uint32_t i = done; i < done + n; i++) {
			packet_u64(&out, a->acks[i].id);
			packet_u32(&out, a->acks[i].idx);
		}
		if (!link_send(&a->link, &out, -1))
			break;
		done += n;
	}
	a->ack_count -= done;
	memmove(a->acks, a->acks + done, a->ack_count * sizeof(a->acks[0]));
}

/* A host that is limited in its connections counts one until it is over: its
 * child says QUIT, and closes the job socket behind the connection. */
static void
leave(struct agent *a)
{
	const struct destination *d = a->destination;
	bool counted = d->kind == SCHEDULE_REMOTE && d->rule.counted &&
		       !a->refused && link_is_up(&a->link);
	if (counted && !a->leaving && !a->given_up)
		counted = shutdown(a->link.watch.fd, SHUT_WR) == 0;
	if (!counted)
		bury(a);
	else if (!a->leaving)
		a->quiet_since = clock_mono_ms();
	a->leaving = counted;
}

static void
flush_agent(struct agent *a)
{
	if (!link_is_up(&a->link) && a->waiting_fd < 0)
		return; /* dead */
	if (a->given_up)
		a->ack_count = 0; /* nothing can be sent to it */
	if (a->ack_count > 0)
		flush_acks(a);
	if (a->retiring && a->outstanding == 0 && a->holds == 0 &&
	    a->ack_count == 0)
		leave(a);
}

static void
flush_destinations(void)
{
	while (dirty_first != NULL) {
		struct destination *d = dirty_first;
		dirty_first = d->dirty_next;
		if (dirty_first == NULL)
			dirty_last = NULL;
		d->dirty = false;
		if (d->waiting > 0 && places_stopped(d->kind))
			delivery_stop(d);
		for (struct agent *a = d->agents; a != NULL; a = a->sibling)
			agent_feed(a);
		/* a user has one local at a time */
		if (d->kind == SCHEDULE_REMOTE || d->agents == NULL)
			hubs_open(d);
		if (d->starving && d->kind == SCHEDULE_LOCAL)
			make_place();
		destination_release(d, clock_mono_ms());
	}
}

void
agents_flush(void)
{
	while ((dirty_first != NULL && !finishing) || dirty_agents != NULL) {
		if (!finishing)
			flush_destinations();
		while (dirty_agents != NULL) {
			struct agent *a = dirty_agents;
			dirty_agents = a->dirty_next;
			a->dirty = false;
			flush_agent(a);
		}
	}
	if (!finishing)
		hubs_flush();
	if (dead != NULL)
		free_dead();
}

static void
tick_agent(struct agent *a, int64_t now_ms)
{
	struct destination *d = a->destination;
	bool local = d->kind == SCHEDULE_LOCAL;
	int64_t quiet = now_ms - a->quiet_since;
	if (a->leaving && quiet >= LEAVE_MS)
		bury(a);
	if (a->resuming || a->retiring)
		return;
	if (a->outstanding == 0) {
		int64_t most = local ? LOCAL_IDLE_MS : REMOTE_IDLE_MS;
		if (quiet >= most)
			agent_retire(a);
		else if (places_starving(d->kind, RANK_BOUNCE) && !a->parked)
			agent_yield(a);
		return;
	}
	if (local && quiet >= SLOW_LOCAL_MS) {
		d->slow = true;
		d->slow_until = now_ms + SLOW_MEMORY_MS;
	}
	if (!local && d->waiting > 0 && quiet >= SLOW_MS) {
		a->quiet_since = now_ms;
		hubs_open_extra(d);
	}
}

void
agents_tick(int64_t now_ms)
{
	struct agent *next;
	for (struct agent *a = first; a != NULL; a = next) {
		next = a->after;
		tick_agent(a, now_ms);
	}
	hubs_tick(now_ms);
	patience_tick(now_ms);
}

/* ---- start and stop ---- */

void
agents_resume(void)
{
	struct agent *next;
	reading = true;
	for (struct agent *a = first; a != NULL; a = next) {
		int fd = a->waiting_fd;
		next = a->after;
		a->waiting_fd = -1;
		if (fd >= 0 && !link_open(&a->link, fd))
			on_lost(&a->link);
	}
}

bool
agents_resumed(void)
{
	for (struct agent *a = first; a != NULL; a = a->after)
		if (a->resuming)
			return false;
	return true;
}

void
agents_finish(void)
{
	finishing = true;
	for (struct agent *a = first; a != NULL; a = a->after) {
		struct lot *next;
		for (struct lot *lot = a->lots; lot != NULL; lot = next) {
			next = lot->next;
			if (!lot->sent)
				agent_give_back(lot);
		}
	}
}

unsigned
agents_at_work(void)
{
	unsigned n = 0;
	for (const struct agent *a = first; a != NULL; a = a->after)
		n += a->outstanding > 0 || a->holds > 0 || a->ack_count > 0;
	return n;
}
