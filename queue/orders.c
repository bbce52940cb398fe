/* SPDX-License-Identifier: ISC
 * orders: recipients that give way to others (aliases, forwards) or obey an
 * administrator.  Contract in delivery.h.
 */
#include "common/limits.h"
#include "queue/agents.h"
#include "queue/due.h"
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

bool
delivery_retry(uint32_t rcpt)
{
	struct rcpt *r = rcpt_at(rcpt);
	struct message *m = message_at(r->message);
	if (r->state != RCPT_WAITING && r->state != RCPT_HELD)
		return false;
	m->flags = (uint8_t)(m->flags & ~MESSAGE_HELD);
	m->crashes = 0;
	r->flags |= RCPT_FORCE;
	if (r->state == RCPT_WAITING)
		due_remove(rcpt);
	delivery_start(rcpt);
	return true;
}

bool
delivery_delete(uint32_t rcpt)
{
	struct rcpt *r = rcpt_at(rcpt);
	switch ((enum rcpt_state)r->state) {
	case RCPT_NEW:
	case RCPT_WAITING:
	case RCPT_HELD:
	case RCPT_QUEUED:
		delivery_drop(rcpt, "removed");
		return true;
	case RCPT_ASKING:
	case RCPT_FLYING:
	case RCPT_REPLACING:
		r->flags |= RCPT_DELETE;
		return false;
	case RCPT_FAILED:
	case RCPT_MARKING:
	case RCPT_DONE:
	case RCPT_FREE:
	case RCPT_STATES:
		return true;
	}
	return true;
}
