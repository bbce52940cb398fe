/* SPDX-License-Identifier: ISC
 * manage: contract in manage.h; the packets are in INTERNALS.md, "Ask: qmgr".
 */
#include "queue/manage.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/die.h"
#include "common/link.h"
#include "common/log.h"
#include "queue/agents.h"
#include "queue/names.h"
#include "queue/notes.h"

enum {
	CLIENTS = 16,
	SLOTS_AT_ONCE = 20000, /* looked at for one answer */
	ENTRY_MAX = 2500       /* bytes of one recipient in a list */
};

struct client {
	struct link link;
	uint64_t body_of, gone; /* ids that it waits for; 0: none */
	uint32_t removed;
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

/* ---- list ---- */

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

/* The recipient behind this one: of the message, or (0) of all. */
static uint32_t
behind(uint32_t rcpt, uint32_t message)
{
	if (message != 0)
		return rcpt_at(rcpt)->sibling;
	return rcpt + 1 < index_rcpt_end() ? rcpt + 1 : 0;
}

static uint32_t
list_begin(uint32_t cursor, uint64_t id, uint32_t message)
{
	if (id == 0) {
		if (cursor == 0)
			cursor = 1;
		return cursor < index_rcpt_end() ? cursor : 0;
	}
	if (message == 0)
		return 0;
	if (cursor == 0)
		return message_at(message)->first;
	if (cursor >= index_rcpt_end() || rcpt_at(cursor)->message != message ||
	    rcpt_at(cursor)->state == RCPT_FREE)
		return 0; /* gone since */
	return cursor;
}

static void
on_list(struct client *c, struct packet *p)
{
	static char entries_space[PACKET_MAX];
	struct buf entries = BUF_ON(entries_space);
	struct buf out = BUF_ON(space);
	uint32_t cursor = packet_get_u32(p);
	uint64_t id = packet_get_u64(p);
	uint32_t message = id == 0 ? 0 : index_find(id);
	uint32_t rcpt = list_begin(cursor, id, message);
	uint32_t n = 0;
	for (unsigned i = 0; rcpt != 0 && i < SLOTS_AT_ONCE &&
			     entries.n + ENTRY_MAX < PACKET_MAX;
	     i++) {
		const struct rcpt *r = rcpt_at(rcpt);
		if (state_letter(r) != '\0') {
			put_entry(&entries, r);
			n++;
		}
		rcpt = behind(rcpt, message);
	}
	packet_begin(&out, 'l');
	packet_u32(&out, rcpt);
	packet_u32(&out, n);
	buf_put(&out, buf_str(&entries));
	answer(c, &out, -1);
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

static void
on_cat(struct client *c, struct packet *p)
{
	uint64_t id = packet_get_u64(p);
	uint32_t message = index_find(id);
	if (message == 0) {
		send_body(c, 0, 'D', STR("no such message in the queue"));
		return;
	}
	if (message_work(message)->fd >= 0) {
		send_body(c, message, 'K', STR(""));
		return;
	}
	c->body_of = id;
	notes_body(message);
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

/* ---- retry, delete ---- */

static uint32_t
retry_message(uint32_t message)
{
	uint32_t n = 0;
	for (uint32_t r = message_at(message)->first; r != 0;
	     r = rcpt_at(r)->sibling)
		n += delivery_retry(r);
	return n;
}

static void
on_retry(struct client *c, struct packet *p)
{
	struct buf out = BUF_ON(space);
	uint64_t id = packet_get_u64(p);
	uint32_t message = id == 0 ? 0 : index_find(id);
	uint32_t n = message == 0 ? 0 : retry_message(message);
	if (id == 0)
		for (uint32_t i = 1; i < index_message_end(); i++)
			if (message_used(i))
				n += retry_message(i);
	packet_begin(&out, 't');
	packet_u8(&out, id == 0 || message != 0);
	packet_u32(&out, n);
	answer(c, &out, -1);
}

static void
delete_message(uint32_t message, uint32_t *removed, uint32_t *flying)
{
	for (uint32_t r = message_at(message)->first; r != 0;
	     r = rcpt_at(r)->sibling) {
		if (rcpt_at(r)->state == RCPT_DONE)
			continue;
		if (delivery_delete(r))
			++*removed;
		else
			++*flying;
	}
}

static void
send_deleted(struct client *c, bool known, uint32_t flying)
{
	struct buf out = BUF_ON(space);
	packet_begin(&out, 'd');
	packet_u8(&out, known);
	packet_u32(&out, c->removed);
	packet_u32(&out, flying);
	c->gone = 0;
	answer(c, &out, -1);
}

static void
on_delete(struct client *c, struct packet *p)
{
	uint64_t id = packet_get_u64(p);
	uint32_t message = id == 0 ? 0 : index_find(id);
	uint32_t flying = 0;
	c->removed = 0;
	if (message != 0)
		delete_message(message, &c->removed, &flying);
	if (id == 0)
		for (uint32_t i = 1; i < index_message_end(); i++)
			if (message_used(i))
				delete_message(i, &c->removed, &flying);
	if (message != 0 && flying == 0)
		c->gone = id; /* manage_gone answers */
	else
		send_deleted(c, id == 0 || message != 0, flying);
}

void
manage_gone(uint64_t id)
{
	for (size_t i = 0; i < CLIENTS; i++)
		if (clients[i].gone == id)
			send_deleted(&clients[i], true, 0);
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

static void
on_status(struct client *c)
{
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
		{ "delivered", t->delivered },
		{ "deferred", t->deferred },
		{ "failed", t->failed },
		{ "bounced", t->bounced },
		{ "delivered-last-minute", t->minute_delivered },
		{ "deferred-last-minute", t->minute_deferred },
		{ "failed-last-minute", t->minute_failed },
	};
	packet_begin(&out, 'q');
	packet_u32(&out, N_ELEMENTS(values));
	for (size_t i = 0; i < N_ELEMENTS(values); i++)
		put_value(&out, values[i].name, values[i].value);
	answer(c, &out, -1);
}

/* ---- clients ---- */

static struct client *
client_of(struct link *l)
{
	return (struct client *)(void *)l; /* its first member */
}

static void
on_packet(struct link *l, struct packet *p, int *fds, size_t nfds)
{
	struct client *c = client_of(l);
	struct packet look = *p;
	(void)fds;
	(void)nfds;
	if (look.type == 'L')
		(void)packet_get_u32(&look);
	if (look.type != 'Q')
		(void)packet_get_u64(&look);
	if (!packet_end(&look) || c->body_of != 0 || c->gone != 0) {
		link_close(l);
		return;
	}
	if (p->type == 'L')
		on_list(c, p);
	else if (p->type == 'B')
		on_cat(c, p);
	else if (p->type == 'T')
		on_retry(c, p);
	else if (p->type == 'D')
		on_delete(c, p);
	else if (p->type == 'Q')
		on_status(c);
	else
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
	c->body_of = c->gone = 0;
}

static bool
may_manage(int fd)
{
	struct ucred peer;
	socklen_t n = sizeof(peer);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0)
		return false;
	return peer.uid == 0 || peer.uid == own_uid;
}

static void
on_listener(struct watch *w, uint32_t events)
{
	(void)events;
	int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
			LOG(WARN, "accept", F_ERRNO(errno));
		return;
	}
	for (size_t i = 0; i < CLIENTS && may_manage(fd); i++) {
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
	if (loop_add(&listener, EPOLLIN) < 0)
		die(EXITCODE_TEMPORARY, "run/qmgr", errno);
}
