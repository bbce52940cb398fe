/* SPDX-License-Identifier: ISC
 * reports: what agents say.  Contract in agent.h; the packets are in
 * INTERNALS.md, "Agents".  An agent is believed about its own jobs only.
 */
#include "common/clock.h"
#include "common/limits.h"
#include "common/log.h"
#include "queue/agent.h"
#include "queue/due.h"
#include "queue/names.h"
#include "queue/places.h"

enum {
	QUICK_MS = 1000, /* a job so short: its user is not slow */
	/* jobs after which an agent makes place for a destination that waits */
	LOCAL_TURN = 500,
	REMOTE_TURN = 50
};

/* The unanswered entry of that recipient, and its lot: an agent may have
 * several lots of one message.  NULL: it has no such job. */
static struct entry *
entry_of(struct agent *a, uint64_t id, uint32_t idx, struct lot **of)
{
	for (struct lot *lot = a->lots; lot != NULL; lot = lot->next) {
		if (!lot->sent || message_id(message_at(lot->message)) != id)
			continue;
		for (uint32_t i = 0; i < lot->n; i++) {
			struct entry *e = lot_entry(lot, i);
			if (e->answered || rcpt_at(e->rcpt)->idx != idx)
				continue;
			*of = lot;
			return e;
		}
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
end_job(struct agent *a, struct lot *lot)
{
	struct destination *d = a->destination;
	bool success = lot->good;
	if (d->slow && clock_mono_ms() - lot->sent_at < QUICK_MS)
		d->slow = false;
	agent_detach(lot);
	lot_free(lot);
	a->served = true;
	a->jobs++;
	if (d->kind == SCHEDULE_REMOTE)
		places_keep(a->place);
	a->deferred = !success;
	if (success)
		destination_success(d);
	else
		destination_deferred(d);
	unsigned turn = d->kind == SCHEDULE_LOCAL ? LOCAL_TURN : REMOTE_TURN;
	bool lower = destination_rank(d) != RANK_NORMAL;
	bool idle =
	    d->kind == SCHEDULE_LOCAL && a->outstanding == 0 && d->waiting == 0;
	if (places_starving(d->kind, RANK_BOUNCE) &&
	    (idle || a->jobs >= turn || d->open > 1 ||
		(lower && places_starving(d->kind, RANK_NORMAL))))
		agent_yield(a);
	agents_wanted(d);
}

/* Takes the answer about one recipient off its job.  The recipient; 0: nobody
 * waits for it. */
static uint32_t
answered(struct agent *a, uint64_t id, uint32_t idx, bool good)
{
	struct lot *lot = NULL;
	struct entry *e = entry_of(a, id, idx, &lot);
	if (e == NULL)
		return stray(id, idx);
	uint32_t rcpt = e->rcpt;
	delivery_took(clock_mono_ms() - lot->sent_at);
	e->answered = true;
	lot->good = lot->good || good;
	if (--lot->left == 0)
		end_job(a, lot);
	return rcpt;
}

static void
take_result(struct agent *a, struct packet *p)
{
	uint64_t id = packet_get_u64(p);
	uint32_t idx = packet_get_u32(p);
	char verdict = (char)packet_get_u8(p);
	struct str text = packet_get_str(p, LIMIT_REPORT);
	if (p->bad)
		return;
	uint32_t rcpt = answered(a, id, idx, verdict == 'K' || verdict == 'D');
	if (rcpt != 0)
		delivery_report(rcpt, verdict, text, names_str(a->host),
		    verdict == 'K' ? a : NULL);
	if (rcpt == 0 || verdict != 'K')
		agents_ack(a, id, idx);
}

static void
on_report(struct agent *a, struct packet *p)
{
	uint32_t n = packet_get_u32(p);
	for (uint32_t i = 0; i < n && !p->bad; i++)
		take_result(a, p);
	if (!packet_end(p))
		link_complain(&a->link, p->type);
}

static void
on_forward(struct agent *a, struct packet *p)
{
	uint64_t id = packet_get_u64(p);
	uint32_t idx = packet_get_u32(p);
	uint32_t n = packet_get_u32(p);
	if (p->bad) {
		link_complain(&a->link, p->type);
		return;
	}
	uint32_t rcpt = answered(a, id, idx, true);
	if (rcpt == 0)
		agents_ack(a, id, idx);
	else
		delivery_replace(rcpt, n, p, a);
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
	agent_attach(a, lot);
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
	struct destination *d = a->destination;
	a->refused = true;
	a->retiring = true;
	while (a->lots != NULL)
		agent_give_back(a->lots);
	if (a->glimpse)
		d->glimpsed = true; /* that says nothing of the host */
	else if (!a->served)
		hubs_refused(a->destination, names_str(a->ip), text);
	agent_retire(a);
}

void
agent_packet(struct link *l, struct packet *p, int *fds, size_t nfds)
{
	struct agent *a = (struct agent *)(void *)l; /* its first member */
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
