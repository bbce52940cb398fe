/* SPDX-License-Identifier: ISC
 * notes: contract in notes.h; the packets are in INTERNALS.md, "Notes".
 */
#include "queue/notes.h"

#include <stdlib.h>
#include <string.h>
#include "common/clock.h"
#include "common/die.h"
#include "common/limits.h"
#include "common/link.h"
#include "common/log.h"
#include "queue/agents.h"
#include "queue/bounces.h"
#include "queue/intake.h"
#include "queue/manage.h"
#include "queue/wishes.h"

enum {
	MARKS_A_PACKET = 2500 /* 13 bytes each */
};

#define WHOLE_MESSAGE UINT32_MAX /* idx of a mark that holds or releases */

static void on_packet(struct link *, struct packet *, int *, size_t);
static void on_room(struct link *);
static void on_lost(struct link *);

static struct link queued = LINK_DOWN("queued", on_packet, on_room, on_lost);
static struct wishes marks, replaces, bodies;
static bool told;
static bool settle_asked, settle_unsent;
static uint64_t settle_bound;
static bool epoch;
static int64_t last_note;
static char space[PACKET_MAX];

/* ---- to queued ---- */

void
notes_mark(uint32_t rcpt, char verdict, struct agent *agent)
{
	if (agent != NULL)
		agents_hold(agent);
	rcpt_at(rcpt)->link = wish_add(
	    &marks, (struct wish){
			.subject = rcpt, .verdict = verdict, .agent = agent });
}

void
notes_hold(uint32_t message, bool hold)
{
	message_work(message)->holds++;
	(void)wish_add(&marks,
	    (struct wish){ .subject = message, .verdict = hold ? 'H' : 'R' });
}

static bool
is_hold(const struct wish *w)
{
	return w->verdict == 'H' || w->verdict == 'R';
}

uint64_t
notes_newest_mark(void)
{
	return marks.last == 0 ? 0 : wish_at(marks.last)->serial;
}

bool
notes_is_durable(uint64_t mark)
{
	return marks.first == 0 || wish_at(marks.first)->serial > mark;
}

bool
notes_pending(void)
{
	return marks.first != 0 || replaces.first != 0;
}

static void
put_mark(struct buf *out, const struct wish *w)
{
	uint32_t message =
	    is_hold(w) ? w->subject : rcpt_at(w->subject)->message;
	packet_u64(out, message_id(message_at(message)));
	packet_u32(out, is_hold(w) ? WHOLE_MESSAGE : rcpt_at(w->subject)->idx);
	packet_u8(out, (uint8_t)w->verdict);
}

void
notes_replace(uint32_t rcpt, const struct buf *w, struct agent *agent)
{
	struct str bytes = buf_str(w);
	char *copy = must_alloc(bytes.n);
	memcpy(copy, bytes.p, bytes.n);
	if (agent != NULL)
		agents_hold(agent);
	rcpt_at(rcpt)->link = wish_add(&replaces,
	    (struct wish){
		.subject = rcpt, .agent = agent, .bytes = copy, .n = bytes.n });
}

void
notes_body(uint32_t message)
{
	struct work *w = message_work(message);
	if (w->body_wish == 0)
		w->body_wish =
		    wish_add(&bodies, (struct wish){ .subject = message });
}

void
notes_settle(uint64_t bound)
{
	settle_asked = settle_unsent = true;
	settle_bound = bound;
}

static void
flush_settle(void)
{
	char text[16];
	struct buf out = BUF_ON(text);
	if (!settle_unsent)
		return;
	packet_begin(&out, 'S');
	packet_u64(&out, settle_bound);
	settle_unsent = !link_send(&queued, &out, -1);
}

static bool
flush_marks(void)
{
	while (marks.unsent_count > 0) {
		struct buf out = BUF_ON(space);
		uint32_t n = marks.unsent_count < MARKS_A_PACKET
				 ? marks.unsent_count
				 : MARKS_A_PACKET;
		uint32_t number = marks.unsent;
		packet_begin(&out, 'M');
		packet_u32(&out, n);
		for (uint32_t i = 0; i < n; i++) {
			put_mark(&out, wish_at(number));
			number = wish_at(number)->after;
		}
		if (!link_send(&queued, &out, -1))
			return false;
		wish_sent(&marks, n);
	}
	return true;
}

static bool
flush_replaces(void)
{
	while (replaces.unsent_count > 0) {
		struct wish *w = wish_at(replaces.unsent);
		struct buf out = {
			.p = w->bytes, .n = w->n, .cap = w->n, .full = false
		};
		if (!link_send(&queued, &out, -1))
			return false;
		wish_sent(&replaces, 1);
	}
	return true;
}

static void
flush_bodies(void)
{
	while (bodies.unsent_count > 0) {
		struct buf out = BUF_ON(space);
		uint32_t message = wish_at(bodies.unsent)->subject;
		packet_begin(&out, 'O');
		packet_u64(&out, message_id(message_at(message)));
		if (!link_send(&queued, &out, -1))
			return;
		wish_sent(&bodies, 1);
	}
}

void
notes_flush(void)
{
	if (intake_has_room_again())
		die(EXITCODE_TEMPORARY,
		    "the index was full; starting anew to read the rest", 0);
	if (told)
		flush_settle();
	if (told && flush_marks() && flush_replaces())
		flush_bodies();
}

static void
on_room(struct link *l)
{
	(void)l;
	notes_flush();
}

/* ---- from queued ---- */

/* The recipient that a packet names, when it is in that state; else 0. */
static uint32_t
named(uint64_t id, uint32_t idx, enum rcpt_state state)
{
	static uint32_t near_message, near_rcpt;
	uint32_t message = index_find(id);
	if (message == 0)
		return 0;
	uint32_t hint = 0;
	if (near_message == message && near_rcpt != 0 &&
	    rcpt_at(near_rcpt)->state != RCPT_FREE &&
	    rcpt_at(near_rcpt)->message == message)
		hint = near_rcpt;
	uint32_t rcpt = index_find_rcpt(message, idx, &hint);
	near_message = message;
	near_rcpt = hint;
	return rcpt != 0 && rcpt_at(rcpt)->state == state ? rcpt : 0;
}

static void
end_wish(struct wishes *list, uint32_t number, uint64_t id, uint32_t idx)
{
	struct agent *agent = wish_at(number)->agent;
	wish_remove(list, number);
	if (agent == NULL)
		return;
	agents_ack(agent, id, idx);
	agents_let_go(agent);
}

/* The oldest hold or release of the message is durable. */
static void
on_held(uint64_t id)
{
	uint32_t message = index_find(id);
	if (message == 0)
		return;
	for (uint32_t i = marks.first; i != 0; i = wish_at(i)->after) {
		const struct wish *w = wish_at(i);
		if (!is_hold(w) || w->subject != message)
			continue;
		wish_remove(&marks, i);
		message_work(message)->holds--;
		delivery_settle(message);
		return;
	}
}

static void
on_marked(struct packet *p)
{
	uint32_t n = packet_get_u32(p);
	for (uint32_t i = 0; i < n; i++) {
		uint64_t id = packet_get_u64(p);
		uint32_t idx = packet_get_u32(p);
		if (p->bad)
			break;
		if (idx == WHOLE_MESSAGE) {
			on_held(id);
			continue;
		}
		uint32_t rcpt = named(id, idx, RCPT_MARKING);
		if (rcpt == 0 || rcpt_at(rcpt)->link == 0)
			continue; /* asked twice, over two links */
		end_wish(&marks, rcpt_at(rcpt)->link, id, idx);
		rcpt_at(rcpt)->link = 0;
		delivery_finished(rcpt);
	}
	if (!packet_end(p))
		link_complain(&queued, p->type);
	manage_marked();
}

static void
on_replaced(struct packet *p)
{
	uint64_t id = packet_get_u64(p);
	uint32_t idx = packet_get_u32(p);
	uint8_t verdict = packet_get_u8(p);
	struct str text = packet_get_str(p, LIMIT_REPORT);
	if (!packet_end(p)) {
		link_complain(&queued, p->type);
		return;
	}
	uint32_t rcpt = named(id, idx, RCPT_REPLACING);
	if (rcpt == 0)
		return;
	end_wish(&replaces, rcpt_at(rcpt)->link, id, idx);
	rcpt_at(rcpt)->link = 0;
	delivery_replaced(rcpt, (char)verdict, text);
}

/* queued says for good that it has no such body: it is quarantined, or gone. */
static void
forget(uint32_t message, struct str text)
{
	struct message *m = message_at(message);
	LOG(ERROR, "body-gone", F_ID(message_id(m)), F_STR("text", text));
	for (uint32_t r = m->first; r != 0; r = rcpt_at(r)->sibling)
		(void)delivery_delete(r);
}

static void
on_body(struct packet *p, int *fds, size_t nfds)
{
	uint64_t id = packet_get_u64(p);
	uint8_t verdict = packet_get_u8(p);
	uint64_t offset = packet_get_u64(p);
	uint64_t size = packet_get_u64(p);
	struct str text = packet_get_str(p, LIMIT_REPORT);
	if (!packet_end(p) || (verdict == 'K') != (nfds == 1)) {
		link_complain(&queued, p->type);
		return;
	}
	uint32_t message = index_find(id);
	struct work *w = message == 0 ? NULL : message_working(message);
	if (w == NULL || w->body_wish == 0)
		return;
	wish_remove(&bodies, w->body_wish);
	w->body_wish = 0;
	bool there = verdict == 'K';
	if (there)
		intake_body(message, &fds[0], offset, size, true);
	else if (text.n == 0)
		text = STR("4.3.0 the message cannot be read");
	if (verdict == 'D')
		forget(message, text);
	agents_body(message, there, text);
	bounces_body(message, (char)verdict, text);
	manage_body(message, there, text);
	delivery_settle(message);
}

/* What queued did not tell again is not in its queue any more. */
static void
forget_untold(void)
{
	for (uint32_t i = 1; i < index_message_end(); i++) {
		if (!message_used(i))
			continue;
		struct message *m = message_at(i);
		if (((m->flags & MESSAGE_EPOCH) != 0) == epoch || m->busy > 0)
			continue;
		/* marks that are repeated now are answered even so */
		for (uint32_t r = m->first; r != 0; r = rcpt_at(r)->sibling)
			(void)delivery_delete(r);
		message_flag(m, MESSAGE_MORE, false);
		delivery_settle(i);
	}
}

static void
on_told(void)
{
	told = true;
	forget_untold();
	wishes_again(&marks);
	wishes_again(&replaces);
	wishes_again(&bodies);
	settle_unsent = settle_asked;
	LOG(INFO, "index", F_NUM("messages", index_messages()),
	    F_NUM("recipients", index_rcpts()));
}

static void
on_settled(struct packet *p)
{
	uint64_t bound = packet_get_u64(p);
	uint64_t left = packet_get_u64(p);
	if (!packet_end(p))
		link_complain(&queued, p->type);
	else if (settle_asked)
		manage_settled(bound, left);
	settle_asked = false;
}

static void
on_packet(struct link *l, struct packet *p, int *fds, size_t nfds)
{
	bool good = true;
	last_note = clock_mono_ms();
	switch (p->bad ? '\0' : p->type) {
	case 'N':
		good = intake_note(p, fds, nfds, epoch);
		break;
	case 'n':
		good = intake_more(p);
		break;
	case 'E':
		on_told();
		break;
	case 'm':
		on_marked(p);
		break;
	case 'w':
		on_replaced(p);
		break;
	case 'o':
		on_body(p, fds, nfds);
		break;
	case 's':
		on_settled(p);
		break;
	default:
		good = false;
	}
	if (!good)
		link_complain(l, p->type);
}

static void
on_lost(struct link *l)
{
	told = false;
	LOG(WARN, "link-lost", F_TEXT("peer", l->name));
}

void
notes_link(int fd)
{
	told = false;
	epoch = !epoch;
	last_note = clock_mono_ms();
	(void)link_open(&queued, fd);
}

bool
notes_told(void)
{
	return told;
}

int64_t
notes_last(void)
{
	return last_note;
}
