/* SPDX-License-Identifier: ISC
 * walk: contract in walk.h.
 */
#include "queue/walk.h"

#include "queue/delivery.h"
#include "queue/names.h"

enum {
	LOOK_AT = 4096,	     /* messages and recipients for one answer */
	STEPS = 1024,	     /* of matching patterns count as one of these */
	OBEY_AT_ONCE = 2048, /* recipients that one order changes */
	ENTRY_MAX = 3600     /* bytes of one recipient in a list */
};

/* Where a walk stands: a message's number in the upper half, in the lower one
 * of its recipients, or 0 for the first, and whether an order has counted the
 * message.  Both may be gone by the next question. */
#define COUNTED 0x80000000u
struct walk {
	struct selection what;
	uint32_t message, rcpt;
	bool counted;
	uint32_t end;
	unsigned looked;
};

static char
state_letter(const struct rcpt *r)
{
	switch ((enum rcpt_state)r->state) {
	case RCPT_NEW:
		return 'n';
	case RCPT_WAITING:
		return 'w';
	case RCPT_HELD:
		return 'h';
	case RCPT_ASKING:
	case RCPT_QUEUED:
	case RCPT_FLYING:
	case RCPT_REPLACING:
		return 'a';
	case RCPT_FAILED:
		return 'b';
	case RCPT_MARKING:
		return 'm';
	case RCPT_DONE:
	case RCPT_FREE:
	case RCPT_STATES:
		break;
	}
	return '\0';
}

/* Is this number still a recipient of the message? */
static bool
belongs(uint32_t rcpt, uint32_t message)
{
	return rcpt != 0 && rcpt < index_rcpt_end() &&
	       rcpt_at(rcpt)->state != RCPT_FREE &&
	       rcpt_at(rcpt)->message == message;
}

/* One message is looked up; all of them are gone over by number. */
static void
walk_begin(struct walk *w, uint64_t cursor)
{
	w->looked = 0;
	w->message = (uint32_t)(cursor >> 32);
	w->rcpt = (uint32_t)cursor & ~COUNTED;
	w->counted = ((uint32_t)cursor & COUNTED) != 0;
	w->end = index_message_end();
	if (w->what.id != 0) {
		uint32_t m = index_find(w->what.id);
		if (m == 0 || (cursor != 0 && m != w->message))
			w->message = w->end; /* gone */
		else
			w->message = m;
	} else if (cursor == 0) {
		w->message = 1;
	}
}

static void
next_message(struct walk *w)
{
	w->message = w->what.id != 0 ? w->end : w->message + 1;
	w->rcpt = 0;
	w->counted = false;
}

/* What it costs to match a pattern: many * in a long one have it compared anew
 * at each byte of the text. */
static unsigned
effort(struct str pattern, struct str text)
{
	return (unsigned)(pattern.n * text.n / STEPS);
}

/* The first recipient to look at of the message that the walk stands at; 0:
 * none, or it does not match. */
static uint32_t
enter(struct walk *w)
{
	w->looked++;
	if (!message_used(w->message))
		return 0;
	const struct message *m = message_at(w->message);
	const struct selected_message s = { .id = message_id(m),
		.birth = m->birth,
		.size = m->size,
		.sender = names_str(m->sender) };
	w->looked += effort(w->what.sender, s.sender);
	if (!selection_message(&w->what, &s))
		return 0;
	if (w->rcpt == 0)
		return m->first;
	return belongs(w->rcpt, w->message) ? w->rcpt : 0;
}

static bool
matches(struct walk *w, uint32_t rcpt)
{
	const struct rcpt *r = rcpt_at(rcpt);
	struct str address = names_str(r->name);
	struct str text = names_str(r->text);
	char state = state_letter(r);
	w->looked += 1 + effort(w->what.rcpt, address) +
		     effort(w->what.domain, address) +
		     effort(w->what.reason, text);
	return state != '\0' && selection_rcpt(&w->what, state, address, text);
}

static uint64_t
cursor_of(const struct walk *w)
{
	if (w->message >= w->end)
		return 0;
	return (uint64_t)w->message << 32 | w->rcpt |
	       (w->counted ? COUNTED : 0);
}

/* ---- list ---- */

static void
put_entry(struct buf *out, const struct rcpt *r)
{
	const struct message *m = message_at(r->message);
	packet_u64(out, message_id(m));
	packet_u64(out, m->birth);
	packet_u64(out, m->size);
	packet_str(out, names_str(m->sender));
	packet_u32(out, r->idx);
	packet_str(out, names_str(r->name));
	packet_u8(out, (uint8_t)state_letter(r));
	packet_u8(out, r->attempts);
	packet_u64(out, (uint64_t)delivery_when(r));
	packet_str(out, names_str(r->text));
}

/* Puts recipients of the message that the walk stands at.  False: the packet is
 * full, or enough was looked at. */
static bool
list_message(struct walk *w, struct buf *entries, uint32_t *n)
{
	uint32_t rcpt = enter(w);
	while (rcpt != 0) {
		if (w->looked >= LOOK_AT || buf_room(entries) < ENTRY_MAX) {
			w->rcpt = rcpt;
			return false;
		}
		if (matches(w, rcpt)) {
			put_entry(entries, rcpt_at(rcpt));
			++*n;
		}
		rcpt = rcpt_at(rcpt)->sibling;
	}
	next_message(w);
	return w->looked < LOOK_AT;
}

bool
walk_list(struct packet *p, struct buf *out)
{
	static char space[PACKET_MAX - 64];
	struct buf entries = BUF_ON(space);
	struct walk w;
	uint32_t n = 0;
	uint64_t cursor = packet_get_u64(p);
	selection_get(p, &w.what);
	if (!packet_end(p))
		return false;
	walk_begin(&w, cursor);
	while (w.message < w.end && list_message(&w, &entries, &n))
		;
	packet_begin(out, 'l');
	packet_u64(out, cursor_of(&w));
	packet_u32(out, w.message);
	packet_u32(out, w.end);
	packet_u32(out, n);
	buf_put(out, buf_str(&entries));
	return true;
}

/* ---- orders ---- */

/* What one order is to do, and has done. */
struct order {
	char verb;
	bool dry;
	uint32_t most; /* messages; 0: all */
	struct str text;
	struct walk_done done;
	uint32_t pulled[OBEY_AT_ONCE]; /* taken out of line, to be bounced */
	uint32_t pulled_count;
};

static void
count(struct order *o, enum delivery_obeyed obeyed)
{
	o->done.rcpts += obeyed == OBEYED;
	o->done.flying += obeyed == OBEYED_LATER;
}

static enum delivery_obeyed
obey(struct order *o, uint32_t rcpt)
{
	if (o->dry)
		return delivery_would_obey(rcpt, o->verb);
	switch (o->verb) {
	case 'r':
		return delivery_retry(rcpt) ? OBEYED : OBEYED_NOT;
	case 'd':
		return delivery_delete(rcpt);
	case 'b':
		o->pulled[o->pulled_count] = rcpt;
		enum delivery_obeyed obeyed = delivery_pull(rcpt);
		o->pulled_count += obeyed == OBEYED;
		return obeyed;
	}
	return OBEYED_NOT;
}

/* Holds or releases a message that one of its recipients stands for. */
static bool
obey_whole(struct order *o, uint32_t message)
{
	uint32_t rcpts = 0, flying = 0;
	bool hold = o->verb == 'h';
	bool does = delivery_hold(message, hold, o->dry, &rcpts, &flying);
	o->done.rcpts += rcpts;
	o->done.flying += flying;
	return does;
}

static bool
any_match(struct walk *w)
{
	for (uint32_t r = enter(w); r != 0; r = rcpt_at(r)->sibling)
		if (matches(w, r))
			return true;
	return false;
}

/* False: enough for one answer. */
static bool
obey_message(struct walk *w, struct order *o)
{
	uint32_t before = o->done.rcpts + o->done.flying;
	if (o->verb == 'h' || o->verb == 'l') {
		if (any_match(w) && obey_whole(o, w->message))
			o->done.messages++;
		next_message(w);
		return w->looked < LOOK_AT &&
		       o->done.rcpts + o->done.flying < OBEY_AT_ONCE &&
		       o->done.messages < OBEY_AT_ONCE;
	}
	uint32_t rcpt = enter(w);
	while (rcpt != 0) {
		if (w->looked >= LOOK_AT ||
		    o->done.rcpts + o->done.flying >= OBEY_AT_ONCE) {
			w->rcpt = rcpt;
			break;
		}
		uint32_t next = rcpt_at(rcpt)->sibling;
		if (matches(w, rcpt))
			count(o, obey(o, rcpt));
		rcpt = next;
	}
	if (!w->counted && o->done.rcpts + o->done.flying > before) {
		w->counted = true;
		o->done.messages++;
	}
	if (rcpt != 0)
		return false;
	next_message(w);
	return w->looked < LOOK_AT &&
	       o->done.rcpts + o->done.flying < OBEY_AT_ONCE;
}

bool
walk_order(struct packet *p, struct walk_done *done)
{
	static struct order o;
	struct walk w;
	o = (struct order){ .verb = (char)packet_get_u8(p) };
	o.dry = packet_get_u8(p) != 0;
	uint64_t cursor = packet_get_u64(p);
	o.most = packet_get_u32(p);
	selection_get(p, &w.what);
	o.text = packet_get_str(p, SELECT_PATTERN);
	if (!packet_end(p) ||
	    (o.verb != 'h' && o.verb != 'l' && o.verb != 'd' && o.verb != 'r' &&
		o.verb != 'b'))
		return false;
	walk_begin(&w, cursor);
	while (w.message < w.end && obey_message(&w, &o))
		if (o.most != 0 && o.done.messages >= o.most) {
			w.message = w.end;
			break;
		}
	if (!o.dry)
		delivery_let_go();
	for (uint32_t i = 0; i < o.pulled_count; i++)
		delivery_give_up(o.pulled[i], o.text);
	*done = o.done;
	done->next = cursor_of(&w);
	done->at = w.message;
	done->end = w.end;
	return true;
}

void
walk_answer(const struct walk_done *d, struct buf *out)
{
	packet_begin(out, 'a');
	packet_u64(out, d->next);
	packet_u32(out, d->at);
	packet_u32(out, d->end);
	packet_u32(out, d->messages);
	packet_u32(out, d->rcpts);
	packet_u32(out, d->flying);
}
