/* SPDX-License-Identifier: ISC
 * orders: recipients that give way to others (aliases, forwards) or obey an
 * administrator.  Contract in delivery.h.
 */
#include "common/limits.h"
#include "queue/agents.h"
#include "queue/due.h"
#include "queue/names.h"
#include "queue/notes.h"
#include "queue/outcome.h"

/* ---- aliases and forwards ---- */

static const char *
replace_refused(const struct rcpt *r)
{
	if (r->depth >= DEPTH_MAX)
		return "5.4.6 more than 20 aliases or forwards in a row";
	if (message_at(r->message)->replaced >= REPLACED_MAX)
		return "5.4.6 more than 1000 aliases and forwards";
	return NULL;
}

void
delivery_replace(
    uint32_t rcpt, uint32_t count, struct packet *targets, struct agent *agent)
{
	static char space[PACKET_MAX];
	struct buf w = BUF_ON(space);
	struct rcpt *r = rcpt_at(rcpt);
	struct message *m = message_at(r->message);
	const char *problem = replace_refused(r);
	packet_begin(&w, 'W');
	packet_u64(&w, message_id(m));
	packet_u32(&w, r->idx);
	packet_u32(&w, count);
	for (uint32_t i = 0; i < count && !targets->bad && !w.full; i++)
		packet_str(
		    &w, packet_get_str(targets, (size_t)LIMIT_ADDRESS * 2));
	if (problem == NULL && w.full)
		problem = "5.4.6 too many targets";
	char verdict = 'D';
	if (count == 0 || (!w.full && !packet_end(targets))) {
		problem = "4.3.0 broken list of targets";
		verdict = 'Z';
	}
	if (problem != NULL) {
		uint64_t id = message_id(m);
		uint32_t idx = r->idx;
		delivery_report(rcpt, verdict, str_of(problem), STR(""), NULL);
		if (agent != NULL)
			agents_ack(agent, id, idx);
		return;
	}
	struct work *work = message_work(r->message);
	rcpt_set(rcpt, RCPT_REPLACING);
	m->replaced++;
	work->replacing++;
	if (work->depth <= r->depth)
		work->depth = (uint8_t)(r->depth + 1);
	notes_replace(rcpt, &w, agent);
}

void
delivery_replaced(uint32_t rcpt, char verdict, struct str text)
{
	struct rcpt *r = rcpt_at(rcpt);
	struct work *w = message_work(r->message);
	if (w->replacing > 0 && --w->replacing == 0)
		w->depth = 0;
	if (verdict != 'K') {
		delivery_report(rcpt, verdict, text, STR(""), NULL);
		return;
	}
	delivery_log(LOG_INFO, "forwarded", r, STR(""), STR(""));
	rcpt_set(rcpt, RCPT_DONE);
	delivery_settle(r->message);
}

/* ---- by hand ---- */

/* Is it with userd, with an agent, or with queued? */
static bool
is_flying(const struct rcpt *r)
{
	return r->state == RCPT_ASKING || r->state == RCPT_FLYING ||
	       r->state == RCPT_REPLACING;
}

/* Does it wait, for whatever? */
static bool
is_waiting(const struct rcpt *r)
{
	return r->state == RCPT_NEW || r->state == RCPT_WAITING ||
	       r->state == RCPT_HELD || r->state == RCPT_QUEUED;
}

static bool
may_retry(const struct rcpt *r)
{
	return (r->state == RCPT_WAITING || r->state == RCPT_HELD) &&
	       (message_at(r->message)->flags & MESSAGE_PARKED) == 0;
}

enum delivery_obeyed
delivery_would_obey(uint32_t rcpt, char verb)
{
	const struct rcpt *r = rcpt_at(rcpt);
	if (verb == 'r')
		return may_retry(r) ? OBEYED : OBEYED_NOT;
	if (is_waiting(r))
		return OBEYED;
	return is_flying(r) ? OBEYED_LATER : OBEYED_NOT;
}

bool
delivery_retry(uint32_t rcpt)
{
	struct rcpt *r = rcpt_at(rcpt);
	struct message *m = message_at(r->message);
	if (!may_retry(r))
		return false;
	m->flags = (uint8_t)(m->flags & ~MESSAGE_HELD);
	m->crashes = 0;
	r->flags |= RCPT_FORCE;
	if (r->state == RCPT_WAITING)
		due_remove(rcpt);
	delivery_start(rcpt);
	return true;
}

enum delivery_obeyed
delivery_delete(uint32_t rcpt)
{
	struct rcpt *r = rcpt_at(rcpt);
	if (is_waiting(r)) {
		delivery_drop(rcpt, "removed");
		return OBEYED;
	}
	if (!is_flying(r))
		return OBEYED_NOT;
	r->flags |= RCPT_DELETE;
	return OBEYED_LATER;
}

enum delivery_obeyed
delivery_pull(uint32_t rcpt)
{
	struct rcpt *r = rcpt_at(rcpt);
	if (!is_waiting(r))
		return is_flying(r) ? OBEYED_LATER : OBEYED_NOT;
	if (r->state == RCPT_WAITING)
		due_remove(rcpt);
	if (r->state == RCPT_QUEUED)
		delivery_leave_line(rcpt);
	rcpt_set(rcpt, RCPT_HELD);
	delivery_settle(r->message);
	return OBEYED;
}

static void
log_hold(const struct message *m, bool hold)
{
	LOG(INFO, hold ? "hold" : "release", F_ID(message_id(m)),
	    F_STR("sender", names_str(m->sender)));
}

bool
delivery_hold(
    uint32_t message, bool hold, bool dry, uint32_t *rcpts, uint32_t *flying)
{
	struct message *m = message_at(message);
	bool parked = (m->flags & MESSAGE_PARKED) != 0;
	if (m->live == 0 || (hold ? parked : (m->flags & MESSAGE_HELD) == 0))
		return false;
	if (!dry) {
		log_hold(m, hold);
		unsigned both = MESSAGE_HELD | MESSAGE_PARKED;
		m->flags = (uint8_t)(hold ? m->flags | both : m->flags & ~both);
		m->crashes = 0;
		if (hold || parked)
			notes_hold(message, hold);
	}
	for (uint32_t i = m->first; i != 0; i = rcpt_at(i)->sibling) {
		struct rcpt *r = rcpt_at(i);
		*flying += is_flying(r);
		*rcpts += is_waiting(r);
		if (dry)
			continue;
		if (hold) {
			(void)delivery_pull(i);
		} else if (r->state == RCPT_HELD) {
			r->flags |= RCPT_FORCE;
			delivery_start(i);
		}
	}
	return true;
}
