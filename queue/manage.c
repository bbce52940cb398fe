/* SPDX-License-Identifier: ISC
 * manage: contract in manage.h; the packets are in INTERNALS.md, "Ask: qmgr".
 */
#include "queue/manage.h"

#include <string.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/door.h"
#include "common/link.h"
#include "common/log.h"
#include "queue/agents.h"
#include "queue/names.h"
#include "queue/notes.h"
#include "queue/walk.h"

enum { CLIENTS = 16 };

struct client {
	struct link link;
	uint64_t body_of; /* id of the message whose body it waits for, or 0 */
	bool settles;	  /* waits to be told how far settling is */
	bool waits;	  /* for this mark, to be told this: */
	uint64_t mark;
	struct walk_done done;
};

static void on_packet(struct link *, struct packet *, int *, size_t);
static void on_room(struct link *);
static void on_lost(struct link *);

static struct watch listener;
static struct client clients[CLIENTS];
static uid_t own_uid;
static char space[PACKET_MAX];

static void
answer(struct client *c, const struct buf *out, int fd)
{
	/* a client asks one thing at a time: there is room, or it misbehaves */
	if (out->full || !link_send(&c->link, out, fd))
		link_close(&c->link);
}

/* ---- cat ---- */

static void
send_body(struct client *c, uint32_t message, char verdict, struct str text)
{
	struct buf out = BUF_ON(space);
	const struct work *w = message == 0 ? NULL : message_working(message);
	bool there = verdict == 'K' && w != NULL && w->fd >= 0;
	packet_begin(&out, 'b');
	packet_u8(&out, (uint8_t)(there		   ? 'K'
				  : verdict == 'K' ? 'Z'
						   : verdict));
	packet_u64(&out, there ? w->offset : 0);
	packet_u64(&out, there ? w->size : 0);
	packet_str(&out, text);
	c->body_of = 0;
	answer(c, &out, there ? w->fd : -1);
}

static bool
on_cat(struct client *c, struct packet *p)
{
	uint64_t id = packet_get_u64(p);
	if (!packet_end(p))
		return false;
	uint32_t message = index_find(id);
	if (message == 0) {
		send_body(c, 0, 'D', STR("no such message in the queue"));
		return true;
	}
	if (message_work(message)->fd >= 0) {
		send_body(c, message, 'K', STR(""));
		return true;
	}
	c->body_of = id;
	notes_body(message);
	return true;
}

void
manage_body(uint32_t message, bool there, struct str text)
{
	uint64_t id = message_id(message_at(message));
	for (size_t i = 0; i < CLIENTS; i++)
		if (clients[i].body_of == id)
			send_body(
			    &clients[i], message, there ? 'K' : 'Z', text);
}

/* ---- list, orders ---- */

static void
send_done(struct client *c)
{
	struct buf out = BUF_ON(space);
	walk_answer(&c->done, &out);
	c->waits = false;
	answer(c, &out, -1);
}

/* Answered when all that it changed is durable, so that an order that was
 * answered holds. */
static bool
on_order(struct client *c, struct packet *p)
{
	if (!walk_order(p, &c->done))
		return false;
	c->mark = notes_newest_mark();
	c->waits = !notes_is_durable(c->mark);
	if (!c->waits)
		send_done(c);
	return true;
}

void
manage_marked(void)
{
	for (size_t i = 0; i < CLIENTS; i++)
		if (clients[i].waits && notes_is_durable(clients[i].mark))
			send_done(&clients[i]);
}

static bool
on_list(struct client *c, struct packet *p)
{
	struct buf out = BUF_ON(space);
	if (!walk_list(p, &out))
		return false;
	answer(c, &out, -1);
	return true;
}

/* ---- settle ---- */

static bool
on_settle(struct client *c, struct packet *p)
{
	uint64_t bound = packet_get_u64(p);
	if (!packet_end(p))
		return false;
	c->settles = true;
	notes_settle(bound);
	return true;
}

void
manage_settled(uint64_t bound, uint64_t left)
{
	char text[32];
	struct buf out = BUF_ON(text);
	packet_begin(&out, 'f');
	packet_u64(&out, bound);
	packet_u64(&out, left);
	for (size_t i = 0; i < CLIENTS; i++) {
		if (!clients[i].settles)
			continue;
		clients[i].settles = false;
		answer(&clients[i], &out, -1);
	}
}

/* ---- status ---- */

static void
put_value(struct buf *out, const char *name, uint64_t value)
{
	packet_str(out, str_of(name));
	packet_u64(out, value);
}

/* Birth of the oldest message; looked for at most once a second. */
static uint64_t
oldest_birth(void)
{
	static int64_t looked = -1000000;
	static uint32_t oldest;
	int64_t now = clock_mono_ms();
	if (now - looked < 1000)
		return oldest;
	looked = now;
	oldest = 0;
	for (uint32_t i = 1; i < index_message_end(); i++) {
		if (!message_used(i))
			continue;
		uint32_t birth = message_at(i)->birth;
		if (oldest == 0 || birth < oldest)
			oldest = birth;
	}
	return oldest;
}

static uint64_t
both(enum rcpt_state state)
{
	return index_count(state, false) + index_count(state, true);
}

static bool
on_status(struct client *c, struct packet *p)
{
	if (!packet_end(p))
		return false;
	struct buf out = BUF_ON(space);
	const struct delivery_totals *t = delivery_totals();
	struct agents_counts agents = agents_count();
	const struct {
		const char *name;
		uint64_t value;
	} values[] = {
		{ "scheduling", delivery_is_open() },
		{ "messages", index_messages() },
		{ "recipients", index_rcpts() - both(RCPT_DONE) },
		{ "deferred-local", index_count(RCPT_WAITING, false) },
		{ "deferred-remote", index_count(RCPT_WAITING, true) },
		{ "queued-local", index_count(RCPT_QUEUED, false) },
		{ "queued-remote", index_count(RCPT_QUEUED, true) },
		{ "in-flight-local", index_count(RCPT_FLYING, false) },
		{ "in-flight-remote", index_count(RCPT_FLYING, true) },
		{ "being-routed", both(RCPT_ASKING) + both(RCPT_REPLACING) },
		{ "bouncing", both(RCPT_FAILED) },
		{ "held", both(RCPT_HELD) },
		{ "oldest-birth", oldest_birth() },
		{ "agents-local", agents.local },
		{ "agents-remote", agents.remote },
		{ "connecting", agents.connecting },
		{ "arrived", t->arrived },
		{ "delivered", t->delivered },
		{ "deferred", t->deferred },
		{ "failed", t->failed },
		{ "bounced", t->bounced },
		{ "arrived-last-minute", t->minute_arrived },
		{ "delivered-last-minute", t->minute_delivered },
		{ "deferred-last-minute", t->minute_deferred },
		{ "failed-last-minute", t->minute_failed },
	};
	packet_begin(&out, 'q');
	packet_u32(&out, N_ELEMENTS(values));
	for (size_t i = 0; i < N_ELEMENTS(values); i++)
		put_value(&out, values[i].name, values[i].value);
	answer(c, &out, -1);
	return true;
}

/* ---- clients ---- */

static struct client *
client_of(struct link *l)
{
	return (struct client *)(void *)l; /* its first member */
}

/* False: it breaks the rules. */
static bool
on_question(struct client *c, struct packet *p)
{
	switch (p->bad || c->body_of != 0 || c->waits || c->settles ? '\0'
								    : p->type) {
	case 'L':
		return on_list(c, p);
	case 'A':
		return on_order(c, p);
	case 'B':
		return on_cat(c, p);
	case 'Q':
		return on_status(c, p);
	case 'F':
		return on_settle(c, p);
	default:
		return false;
	}
}

static void
on_packet(struct link *l, struct packet *p, int *fds, size_t nfds)
{
	(void)fds;
	(void)nfds;
	if (!on_question(client_of(l), p))
		link_close(l);
}

static void
on_room(struct link *l)
{
	(void)l;
}

static void
on_lost(struct link *l)
{
	struct client *c = client_of(l);
	c->body_of = 0;
	c->waits = c->settles = false;
}

static void
on_listener(struct watch *w, uint32_t events)
{
	uid_t uid;
	(void)events;
	int fd = door_accept(w, &uid);
	if (fd < 0)
		return;
	bool may_manage = uid == 0 || uid == own_uid;
	for (size_t i = 0; i < CLIENTS && may_manage; i++) {
		struct client *c = &clients[i];
		if (link_is_up(&c->link))
			continue;
		*c = (struct client){ .link = LINK_DOWN("control", on_packet,
					  on_room, on_lost) };
		(void)link_open(&c->link, fd);
		return;
	}
	(void)close(fd); /* nothing was written */
}

void
manage_open(int listen_fd)
{
	own_uid = geteuid();
	for (size_t i = 0; i < CLIENTS; i++)
		clients[i].link = (struct link)LINK_DOWN(
		    "control", on_packet, on_room, on_lost);
	listener = (struct watch){ .fd = listen_fd, .ready = on_listener };
	door_open(&listener, "run/qmgr");
}
