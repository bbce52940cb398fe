/* SPDX-License-Identifier: ISC
 * agents: jobs and reports; contract in agents.h and agent.h, the packets are
 * in INTERNALS.md, "Agents".
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/io.h"
#include "common/limits.h"
#include "common/log.h"
#include "queue/agent.h"
#include "queue/due.h"
#include "queue/names.h"
#include "queue/notes.h"

enum {
	LOCAL_JOBS = 64, /* jobs that a local has at a time */
	REMOTE_JOBS = 1,
	LOCAL_IDLE_MS = 10000,
	REMOTE_IDLE_MS = 1000,
	SLOW_MS = 10000, /* one job takes so long: others get a connection */
	/* jobs after which an agent makes place for a destination that waits */
	LOCAL_TURN = 500,
	REMOTE_TURN = 50,
	JOB_ROOM = PACKET_MAX - 1024,
	JOB_8BIT = 2,
	JOB_MAYBE = 4,
	ACK_PACKET = 512,
	ACK_IDX_MAX = (ACK_PACKET - 16) / 4
};

static struct agent *first, *dead, *dirty_agents;
static struct destination *dirty_first, *dirty_last;
static bool reading; /* resumed agents are read */

static void on_packet(struct link *, struct packet *, int *, size_t);
static void on_room(struct link *);
static void on_lost(struct link *);

static struct agent *
agent_of(struct link *l)
{
	return (struct agent *)(void *)l; /* its first member */
}

struct agent *
agents_first(void)
{
	return first;
}

bool
agents_busy(void)
{
	return first != NULL || hubs_connecting();
}

/* ---- birth and death ---- */

void
agent_new(
    struct destination *d, int fd, struct str host, struct str ip, bool resumed)
{
	struct agent *a = must_alloc(sizeof(*a));
	*a = (struct agent){
		.link = LINK_DOWN("agent", on_packet, on_room, on_lost),
		.destination = d,
		.sibling = d->agents,
		.after = first,
		.host = names_take(host),
		.ip = names_take(ip),
		.resuming = resumed,
		.served = resumed,
		.waiting_fd = -1,
		.quiet_since = clock_mono_ms(),
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
	d->open--;
	hubs_closed(d->kind);
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

/* ---- lots of an agent ---- */

static void
attach(struct agent *a, struct lot *lot)
{
	struct lot **at = &a->lots;
	while (*at != NULL)
		at = &(*at)->next;
	*at = lot;
	lot->next = NULL;
	lot->agent = a;
	lot->sent_at = clock_mono_ms();
	if (a->outstanding++ == 0)
		a->quiet_since = lot->sent_at;
}

static void
stop_fetching(struct lot *lot)
{
	struct work *w = message_working(lot->message);
	struct lot **at = w == NULL ? NULL : &w->fetching;
	while (at != NULL && *at != NULL && *at != lot)
		at = &(*at)->fetching;
	if (at != NULL && *at == lot)
		*at = lot->fetching;
	lot->fetching = NULL;
}

static void
detach(struct lot *lot)
{
	struct agent *a = lot->agent;
	struct lot **at = &a->lots;
	while (*at != lot)
		at = &(*at)->next;
	*at = lot->next;
	lot->agent = NULL;
	if (!lot->sent)
		stop_fetching(lot);
	a->outstanding--;
	a->quiet_since = clock_mono_ms();
	if (a->outstanding == 0)
		a->solo = false;
}

/* What the agent did not touch goes back to the head of the queue. */
static void
give_back(struct lot *lot)
{
	struct destination *d = lot->agent->destination;
	uint32_t kept = 0;
	detach(lot);
	lot->sent = false;
	for (uint32_t i = 0; i < lot->n; i++) {
		struct entry e = *lot_entry(lot, i);
		if (e.answered) {
			names_drop(e.target);
			continue;
		}
		rcpt_set(e.rcpt, RCPT_QUEUED);
		*lot_entry(lot, kept++) = e;
	}
	lot->n = lot->left = kept;
	if (kept > 0)
		destination_back(d, lot);
	else
		lot_free(lot);
}

/* ---- jobs ---- */

/* Leaves in the lot what is still to be delivered and fits into one packet; the
 * rest goes back.  False: nothing is left, the lot is freed. */
static bool
trim(struct destination *d, struct lot *lot)
{
	size_t bytes = names_str(message_at(lot->message)->sender).n;
	uint32_t kept = 0;
	struct lot *rest = NULL;
	for (uint32_t i = 0; i < lot->n; i++) {
		struct entry e = *lot_entry(lot, i);
		if (!delivery_in_lot(e.rcpt)) {
			names_drop(e.target);
			continue;
		}
		bytes += 12 + names_str(rcpt_at(e.rcpt)->name).n +
			 names_str(e.target).n;
		if (bytes <= JOB_ROOM && rest == NULL) {
			*lot_entry(lot, kept++) = e;
			continue;
		}
		if (rest == NULL)
			rest = lot_new(lot->message);
		lot_add(rest, e.rcpt, e.target);
	}
	lot->n = lot->left = kept;
	if (rest != NULL)
		destination_back(d, rest);
	if (kept == 0)
		lot_free(lot);
	return kept > 0;
}

static void
log_attempt(const struct agent *a, struct lot *lot)
{
	const struct message *m = message_at(lot->message);
	const struct rcpt *r = rcpt_at(lot_entry(lot, 0)->rcpt);
	LOG(INFO, "attempt", F_ID(message_id(m)),
	    F_STR("rcpt", names_str(r->name)), F_NUM("recipients", lot->n),
	    F_NUM("attempt", r->attempts + 1),
	    F_STR("host", names_str(a->host)));
}

/* Sends the job; its body is here.  False: no room, or the agent is lost. */
static bool
send_job(struct agent *a, struct lot *lot)
{
	static char space[PACKET_MAX];
	struct buf out = BUF_ON(space);
	const struct message *m = message_at(lot->message);
	const struct work *w = message_working(lot->message);
	uint8_t flags = (m->flags & MESSAGE_8BIT) != 0 ? JOB_8BIT : 0;
	for (uint32_t i = 0; i < lot->n; i++)
		if ((rcpt_at(lot_entry(lot, i)->rcpt)->flags & RCPT_MAYBE) != 0)
			flags |= JOB_MAYBE;
	packet_begin(&out, 'J');
	packet_u64(&out, message_id(m));
	packet_u64(&out, m->birth);
	packet_u64(&out, w->offset);
	packet_u64(&out, w->size);
	packet_u8(&out, flags);
	packet_str(&out, names_str(m->sender));
	packet_u32(&out, lot->n);
	for (uint32_t i = 0; i < lot->n; i++) {
		const struct entry *e = lot_entry(lot, i);
		packet_u32(&out, rcpt_at(e->rcpt)->idx);
		packet_str(&out, names_str(rcpt_at(e->rcpt)->name));
		packet_str(&out, names_str(e->target));
	}
	if (!link_send(&a->link, &out, w->fd))
		return false;
	lot->sent = true;
	if (a->destination->kind == SCHEDULE_REMOTE)
		log_attempt(a, lot);
	return true;
}

static bool
has_body(const struct lot *lot)
{
	const struct work *w = message_working(lot->message);
	return w != NULL && w->fd >= 0;
}

/* Takes one lot.  False: it can take no more now. */
static bool
feed_one(struct agent *a)
{
	struct destination *d = a->destination;
	struct lot *lot = destination_peek(d);
	if (lot == NULL)
		return false;
	bool suspect = message_at(lot->message)->crashes > 0;
	if ((suspect || a->solo) && a->outstanding > 0)
		return false;
	lot = destination_take(d);
	if (!trim(d, lot))
		return true;
	for (uint32_t i = 0; i < lot->n; i++)
		rcpt_set(lot_entry(lot, i)->rcpt, RCPT_FLYING);
	attach(a, lot);
	a->solo = suspect;
	if (!has_body(lot)) {
		struct work *w = message_work(lot->message);
		lot->fetching = w->fetching;
		w->fetching = lot;
		notes_body(lot->message);
		return true;
	}
	if (send_job(a, lot))
		return true;
	give_back(lot);
	return false;
}

void
agent_feed(struct agent *a)
{
	unsigned most =
	    a->destination->kind == SCHEDULE_LOCAL ? LOCAL_JOBS : REMOTE_JOBS;
	while (!a->retiring && !a->resuming && link_is_up(&a->link) &&
	       !a->link.blocked && a->outstanding < most)
		if (!feed_one(a))
			return;
}

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
agents_body(uint32_t message, bool there, struct str text)
{
	struct work *w = message_working(message);
	while (w != NULL && w->fetching != NULL) {
		struct lot *lot = w->fetching;
		struct agent *a = lot->agent;
		w->fetching = lot->fetching;
		lot->fetching = NULL;
		if (there && send_job(a, lot))
			continue;
		if (there) {
			give_back(lot);
			continue;
		}
		detach(lot);
		for (uint32_t i = 0; i < lot->n; i++)
			delivery_report(
			    lot_entry(lot, i)->rcpt, 'Z', text, STR(""), NULL);
		lot_free(lot);
		agents_wanted(a->destination);
	}
}

/* ---- reports ---- */

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

static struct lot *
lot_of(struct agent *a, uint64_t id)
{
	struct lot *lot = a->lots;
	while (lot != NULL &&
	       (!lot->sent || message_id(message_at(lot->message)) != id))
		lot = lot->next;
	return lot;
}

/* The entry of that idx which is not answered; NULL: none. */
static struct entry *
entry_of(struct lot *lot, uint32_t idx)
{
	for (uint32_t i = 0; lot != NULL && i < lot->n; i++) {
		struct entry *e = lot_entry(lot, i);
		if (!e->answered && rcpt_at(e->rcpt)->idx == idx)
			return e;
	}
	return NULL;
}

/* A report that no job here asked for: by an agent that outlived a qmgr.
 * Returns the recipient when the report still matters. */
static uint32_t
stray(uint64_t id, uint32_t idx)
{
	uint32_t message = index_find(id);
	uint32_t rcpt = message == 0 ? 0 : index_find_rcpt(message, idx, NULL);
	if (rcpt == 0)
		return 0;
	if (rcpt_at(rcpt)->state == RCPT_WAITING) {
		due_remove(rcpt);
		rcpt_set(rcpt, RCPT_NEW);
	}
	return rcpt_at(rcpt)->state == RCPT_NEW ? rcpt : 0;
}

static void
end_job(struct agent *a, struct lot *lot, bool success)
{
	struct destination *d = a->destination;
	detach(lot);
	lot_free(lot);
	a->served = true;
	a->jobs++;
	a->deferred = !success;
	if (success)
		destination_success(d);
	unsigned turn = d->kind == SCHEDULE_LOCAL ? LOCAL_TURN : REMOTE_TURN;
	if (hubs_starving(d->kind) && (a->jobs >= turn || d->open > 1))
		agent_retire(a);
	agents_wanted(d);
}

static void
take_result(struct agent *a, struct lot *lot, uint64_t id, struct packet *p,
    bool *success)
{
	uint32_t idx = packet_get_u32(p);
	char verdict = (char)packet_get_u8(p);
	struct str text = packet_get_str(p, LIMIT_REPORT);
	if (p->bad)
		return;
	struct entry *e = entry_of(lot, idx);
	uint32_t rcpt = e == NULL ? stray(id, idx) : e->rcpt;
	if (e != NULL) {
		e->answered = true;
		lot->left--;
	}
	if (verdict == 'K' || verdict == 'D')
		*success = true;
	if (rcpt != 0)
		delivery_report(rcpt, verdict, text, names_str(a->host),
		    verdict == 'K' ? a : NULL);
	if (rcpt == 0 || verdict != 'K')
		agents_ack(a, id, idx);
}

static void
on_report(struct agent *a, struct packet *p)
{
	bool success = false;
	uint64_t id = packet_get_u64(p);
	uint32_t n = packet_get_u32(p);
	struct lot *lot = lot_of(a, id);
	for (uint32_t i = 0; i < n && !p->bad; i++)
		take_result(a, lot, id, p, &success);
	if (!packet_end(p))
		link_complain(&a->link, p->type);
	if (lot != NULL && lot->left == 0)
		end_job(a, lot, success);
}

static void
on_forward(struct agent *a, struct packet *p)
{
	uint64_t id = packet_get_u64(p);
	uint32_t idx = packet_get_u32(p);
	uint32_t n = packet_get_u32(p);
	struct lot *lot = lot_of(a, id);
	struct entry *e = p->bad ? NULL : entry_of(lot, idx);
	uint32_t rcpt = e == NULL ? stray(id, idx) : e->rcpt;
	if (p->bad) {
		link_complain(&a->link, p->type);
		return;
	}
	if (e != NULL) {
		e->answered = true;
		lot->left--;
	}
	if (rcpt == 0)
		agents_ack(a, id, idx);
	else
		delivery_replace(rcpt, n, p, a);
	if (lot != NULL && lot->left == 0)
		end_job(a, lot, true);
}

/* What a resumed agent has in flight is a lot of its own from now on. */
static void
on_in_flight(struct agent *a, struct packet *p)
{
	uint64_t id = packet_get_u64(p);
	uint32_t n = packet_get_u32(p);
	uint32_t message = index_find(id);
	struct lot *lot = NULL;
	for (uint32_t i = 0; i < n && !p->bad; i++) {
		uint32_t idx = packet_get_u32(p);
		uint32_t rcpt = p->bad || message == 0 ? 0 : stray(id, idx);
		if (rcpt == 0)
			continue;
		if (lot == NULL)
			lot = lot_new(message);
		lot_add(lot, rcpt, 0);
		rcpt_remote(rcpt, a->destination->kind == SCHEDULE_REMOTE);
		rcpt_set(rcpt, RCPT_FLYING);
	}
	if (lot == NULL)
		return;
	lot->sent = true;
	attach(a, lot);
}

static void
on_refused(struct agent *a, struct packet *p)
{
	char verdict = (char)packet_get_u8(p);
	struct str text = packet_get_str(p, LIMIT_REPORT);
	if (!packet_end(p) || a->destination->kind != SCHEDULE_REMOTE) {
		link_complain(&a->link, p->type);
		return;
	}
	(void)verdict; /* another host may take it all: for now it is Z */
	a->refused = true;
	a->retiring = true;
	while (a->lots != NULL)
		give_back(a->lots);
	if (!a->served)
		hubs_refused(a->destination, names_str(a->ip), text);
	make_dirty(a);
}

static void
on_packet(struct link *l, struct packet *p, int *fds, size_t nfds)
{
	struct agent *a = agent_of(l);
	(void)fds;
	(void)nfds;
	switch (p->bad ? '\0' : p->type) {
	case 'R':
		on_report(a, p);
		break;
	case 'W':
		on_forward(a, p);
		break;
	case 'I':
		on_in_flight(a, p);
		break;
	case 'E':
		a->resuming = false;
		agents_wanted(a->destination);
		break;
	case 'F':
		on_refused(a, p);
		break;
	default:
		link_complain(l, p->type);
	}
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
crashed_with(struct agent *a, struct lot *lot)
{
	uint32_t message = lot->message;
	detach(lot);
	LOG(WARN, "agent-died", F_ID(message_id(message_at(message))),
	    F_STR("host", names_str(a->host)));
	delivery_crashed(message);
	for (uint32_t i = 0; i < lot->n; i++) {
		struct entry *e = lot_entry(lot, i);
		if (e->answered)
			continue;
		struct rcpt *r = rcpt_at(e->rcpt);
		r->flags |= RCPT_MAYBE;
		if (r->attempts < UINT8_MAX)
			r->attempts++;
		delivery_postpone(e->rcpt, 2 + 3 * message_at(message)->crashes,
		    STR("4.3.0 agent died"));
	}
	lot_free(lot);
}

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
			give_back(lot);
			useless = !a->served && !a->refused;
		}
		lot = next;
	}
	while (a->lots != NULL)
		crashed_with(a, a->lots);
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

/* Sends acknowledgements, a packet for each run of one id. */
static void
flush_acks(struct agent *a)
{
	static char space[LINK_BATCH][ACK_PACKET];
	struct str packets[LINK_BATCH];
	uint32_t ends[LINK_BATCH];
	uint32_t done = 0;
	while (done < a->ack_count) {
		size_t count = 0;
		uint32_t at = done;
		while (at < a->ack_count && count < LINK_BATCH) {
			struct buf out = BUF_ON(space[count]);
			uint32_t n = 1;
			while (at + n < a->ack_count && n < ACK_IDX_MAX &&
			       a->acks[at + n].id == a->acks[at].id)
				n++;
			packet_begin(&out, 'K');
			packet_u64(&out, a->acks[at].id);
			packet_u32(&out, n);
			for (uint32_t i = 0; i < n; i++)
				packet_u32(&out, a->acks[at + i].idx);
			at += n;
			ends[count] = at;
			packets[count++] = buf_str(&out);
		}
		size_t sent = link_send_many(&a->link, packets, count);
		if (sent > 0)
			done = ends[sent - 1];
		if (sent < count)
			break;
	}
	a->ack_count -= done;
	memmove(a->acks, a->acks + done, a->ack_count * sizeof(a->acks[0]));
}

static void
flush_agent(struct agent *a)
{
	if (!link_is_up(&a->link) && a->waiting_fd < 0)
		return; /* dead */
	if (a->ack_count > 0)
		flush_acks(a);
	if (a->retiring && a->outstanding == 0 && a->holds == 0 &&
	    a->ack_count == 0)
		bury(a);
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
		for (struct agent *a = d->agents; a != NULL; a = a->sibling)
			agent_feed(a);
		hubs_open(d);
		destination_release(d, clock_mono_ms());
	}
}

void
agents_flush(void)
{
	while (dirty_first != NULL || dirty_agents != NULL) {
		flush_destinations();
		while (dirty_agents != NULL) {
			struct agent *a = dirty_agents;
			dirty_agents = a->dirty_next;
			a->dirty = false;
			flush_agent(a);
		}
	}
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
	if (a->resuming || a->retiring)
		return;
	if (a->outstanding == 0) {
		int64_t most = local ? LOCAL_IDLE_MS : REMOTE_IDLE_MS;
		if (quiet >= most || hubs_starving(d->kind))
			agent_retire(a);
		return;
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
}

/* ---- start ---- */

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
