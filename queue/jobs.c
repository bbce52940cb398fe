/* SPDX-License-Identifier: ISC
 * jobs: which lots an agent has, how they reach it, and what becomes of them
 * when it is gone.  Contract in agent.h; the packets are in INTERNALS.md,
 * "Agents".
 */
#include "common/clock.h"
#include "common/log.h"
#include "queue/agent.h"
#include "queue/names.h"
#include "queue/notes.h"
#include "queue/pace.h"

enum {
	LOCAL_JOBS = 512, /* that a local has: it syncs half of them while the
			   * others wait */
	REMOTE_JOBS = 1,
	JOB_ROOM = PACKET_MAX - 1024,
	JOB_8BIT = 2,
	JOB_MAYBE = 4
};

void
agent_attach(struct agent *a, struct lot *lot)
{
	if (a->lots == NULL)
		a->lots = lot;
	else
		a->last->next = lot;
	a->last = lot;
	lot->next = NULL;
	lot->agent = a;
	a->destination->flying_of[lot->rank]++;
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

void
agent_detach(struct lot *lot)
{
	struct agent *a = lot->agent;
	struct lot *before = NULL;
	for (struct lot *at = a->lots; at != lot; at = at->next)
		before = at;
	if (before == NULL)
		a->lots = lot->next;
	else
		before->next = lot->next;
	if (a->last == lot)
		a->last = before;
	lot->agent = NULL;
	a->destination->flying_of[lot->rank]--;
	if (!lot->sent)
		stop_fetching(lot);
	a->outstanding--;
	a->quiet_since = clock_mono_ms();
	if (a->outstanding == 0)
		a->solo = false;
}

/* What the agent did not touch goes back to the head of the queue. */
void
agent_give_back(struct lot *lot)
{
	struct destination *d = lot->agent->destination;
	uint32_t kept = 0;
	agent_detach(lot);
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
		if (rest == NULL) {
			rest = lot_new(lot->message);
			rest->rank = lot->rank;
		}
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
log_attempt(struct agent *a, struct lot *lot)
{
	const struct message *m = message_at(lot->message);
	const struct rcpt *r = rcpt_at(lot_entry(lot, 0)->rcpt);
	LOG(INFO, "attempt", F_ID(message_id(m)),
	    F_STR("rcpt", names_str(r->name)), F_NUM("recipients", lot->n),
	    F_NUM("attempt", r->attempts + 1),
	    F_STR("host", names_str(a->host)), F_NUM("connect", a->took));
	a->took = 0;
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
	int64_t now = clock_mono_ms();
	if (lot == NULL || !pace_ready(d, now))
		return false;
	bool suspect = message_at(lot->message)->crashes > 0;
	if ((suspect || a->solo) && a->outstanding > 0)
		return false;
	lot = destination_take(d);
	if (!trim(d, lot))
		return true;
	pace_sent(d, now);
	for (uint32_t i = 0; i < lot->n; i++)
		rcpt_set(lot_entry(lot, i)->rcpt, RCPT_FLYING);
	agent_attach(a, lot);
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
	agent_give_back(lot);
	return false;
}

void
agent_feed(struct agent *a)
{
	unsigned most =
	    a->destination->kind == SCHEDULE_LOCAL ? LOCAL_JOBS : REMOTE_JOBS;
	uint32_t messages = a->destination->rule.messages;
	if (messages > 0 && !a->resuming && a->outstanding == 0 &&
	    a->jobs >= messages)
		agent_retire(a);
	while (!a->retiring && !a->resuming && link_is_up(&a->link) &&
	       !a->link.blocked && a->outstanding < most && agent_has_place(a))
		if (!feed_one(a))
			return;
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
			agent_give_back(lot);
			continue;
		}
		agent_detach(lot);
		for (uint32_t i = 0; i < lot->n; i++)
			delivery_report(
			    lot_entry(lot, i)->rcpt, 'Z', text, STR(""), NULL);
		lot_free(lot);
		agents_wanted(a->destination);
	}
}

void
agent_crashed(struct agent *a, struct lot *lot)
{
	uint32_t message = lot->message;
	agent_detach(lot);
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
