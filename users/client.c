/* SPDX-License-Identifier: ISC
 * client: see the header.
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/door.h"
#include "common/io.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/packet.h"
#include "common/verdict.h"
#include "users/ask.h"
#include "users/client.h"
#include "users/login.h"

enum {
	MAX_CLIENTS = 100000, /* in all; over it new sessions are turned away */
	MAX_CALLERS = 1024,   /* of those, connected to run/users */
	MAX_STRANGERS = 64,   /* of those, not of our own users */
	STRANGER_MS = 20 * 1000,
	TICK_MS = 5000,
	LINK_TURN = 64 /* packets of one link before others get their turn */
};

enum origin { SESSION, LINK, CALLER, STRANGER };

struct client {
	struct watch watch;
	enum origin origin;
	unsigned may;
	bool login;		    /* one is under way */
	bool gone;		    /* closed; freed before the next wait */
	int64_t last_ms;	    /* of a stranger's last packet */
	struct client *next, *prev; /* callers and strangers only */
	size_t held_n;		    /* of held_room, when this is the link */
	struct buf sid, ip;
	char sid_room[LIMIT_SID], ip_room[LIMIT_PEER];
};

const struct tables *client_tables;
const struct table *client_accounts;
const char *(*client_reload)(void);

static struct client_users users;
static struct watch listener = { .fd = -1 };
static struct client *callers, *dead, *link_client;
static unsigned count, caller_count, stranger_count;
static char packet_room[PACKET_MAX], answer_room[PACKET_MAX];
/* An answer that the link did not take yet: it asks many questions at once. */
static char held_room[PACKET_MAX];

/* ---- life ---- */

static void
list_remove(struct client *c)
{
	if (c->prev)
		c->prev->next = c->next;
	else
		callers = c->next;
	if (c->next)
		c->next->prev = c->prev;
	caller_count--;
	if (c->origin == STRANGER)
		stranger_count--;
}

static void
client_close(struct client *c)
{
	if (c->gone)
		return;
	c->gone = true;
	count--;
	loop_remove(&c->watch);
	io_close(&c->watch.fd);
	if (c->origin == CALLER || c->origin == STRANGER)
		list_remove(c);
	if (c->login)
		login_forget(c);
	if (c == link_client)
		link_client = NULL;
	c->next = dead;
	dead = c;
	if (listener.fd >= 0)
		loop_change(&listener, EPOLLIN);
}

/* What is waited for: the next question, unless an answer is still owed. */
static void
client_wait(struct client *c)
{
	if (c->gone)
		return;
	uint32_t events = c->held_n  ? EPOLLOUT
			  : c->login ? EPOLLRDHUP
				     : EPOLLIN;
	loop_change(&c->watch, events);
}

static void
client_send(struct client *c, struct str answer)
{
	if (packet_send(c->watch.fd, answer, NULL, 0) == 0)
		return;
	if (errno != EAGAIN || c != link_client) {
		client_close(c);
		return;
	}
	memmove(held_room, answer.p, answer.n);
	c->held_n = answer.n;
}

static void
send_held(struct client *c)
{
	struct str held = { held_room, c->held_n };
	c->held_n = 0;
	client_send(c, held);
}

/* ---- questions ---- */

static void
on_login_done(void *owner, char verdict, const char *text)
{
	struct client *c = owner;
	struct buf b = BUF_ON(answer_room);
	c->login = false;
	ask_put_verdict(&b, verdict, text);
	client_send(c, buf_str(&b));
	client_wait(c);
}

/* The descriptors pass on to login_begin, or stay the caller's on false. */
static bool
start_login(struct client *c, struct packet *p, int *fds, size_t nfds)
{
	struct login_request r = { .owner = c };
	r.user = packet_get_str(p, LIMIT_ADDRESS);
	r.password = packet_get_str(p, LIMIT_PASSWORD);
	r.already = packet_get_str(p, LOGIN_ALREADY);
	if (!packet_end(p) || nfds != LOGIN_FDS)
		return false;
	r.sid = buf_str(&c->sid);
	r.ip = buf_str(&c->ip);
	memcpy(r.fds, fds, sizeof(r.fds));
	c->login = true;
	login_begin(&r);
	sodium_memzero(packet_room, sizeof(packet_room));
	return true;
}

static void
set_facts(struct client *c, struct str sid, struct str ip)
{
	c->sid = BUF_ON(c->sid_room);
	c->ip = BUF_ON(c->ip_room);
	buf_put(&c->sid, sid);
	buf_put(&c->ip, ip);
}

/* P of a session that was started by hand: what it says narrows its rights. */
static bool
take_facts(struct client *c, struct packet *p)
{
	struct str sid = packet_get_str(p, LIMIT_SID);
	struct str ip = packet_get_str(p, LIMIT_PEER);
	struct str service = packet_get_str(p, LIMIT_USER);
	if (!packet_end(p))
		return false;
	c->may &= str_eq(service, STR("pop3")) ? CLIENT_L : CLIENT_R;
	set_facts(c, sid, ip);
	return true;
}

static void
do_reload(struct client *c)
{
	struct buf b = BUF_ON(answer_room);
	const char *wrong = client_reload();
	ask_put_verdict(&b, wrong ? VERDICT_FAIL : VERDICT_OK, wrong);
	client_send(c, buf_str(&b));
}

static unsigned
right_of(char type)
{
	switch (type) {
	case 'R':
		return CLIENT_R;
	case 'W':
		return CLIENT_W;
	case 'L':
		return CLIENT_L;
	case 'Q':
		return CLIENT_Q;
	case 'H':
		return CLIENT_H;
	case 'P':
		return CLIENT_P;
	default:
		return 0;
	}
}

/* False: the client breaks the rules, and is closed. */
static bool
question(struct client *c, struct str bytes, int *fds, size_t nfds)
{
	struct packet p = packet_open(bytes);
	struct buf answer = BUF_ON(answer_room);
	if (!(c->may & right_of(p.type)))
		return false;
	c->may &= ~(unsigned)CLIENT_P;
	if (p.type == 'L')
		return start_login(c, &p, fds, nfds);
	if (nfds > 0)
		return false;
	if (p.type == 'P')
		return take_facts(c, &p);
	if (p.type == 'H' && packet_end(&p)) {
		do_reload(c);
		return true;
	}
	if (!ask_answer(client_tables, client_accounts, &p, &answer))
		return false;
	client_send(c, buf_str(&answer));
	return true;
}

static void
refuse(struct client *c)
{
	LOG(WARN, "bad-question", F_STR("sid", buf_str(&c->sid)),
	    F_NUM("rights", c->may));
	client_close(c);
}

/* One packet; false when there is none now, or no more. */
static bool
take_packet(struct client *c)
{
	struct str bytes;
	int fds[PACKET_FDS];
	size_t nfds;
	int n = packet_recv(c->watch.fd, packet_room, sizeof(packet_room),
	    MSG_DONTWAIT, &bytes, fds, &nfds);
	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0) {
		client_close(c);
		return false;
	}
	if (c->origin == STRANGER)
		c->last_ms = clock_mono_ms();
	bool logs_in =
	    bytes.p[0] == 'L' && nfds == LOGIN_FDS && (c->may & CLIENT_L);
	if (!question(c, bytes, fds, nfds)) {
		packet_close_fds(fds, nfds);
		refuse(c);
	} else if (!logs_in) {
		packet_close_fds(fds, nfds);
	}
	return !c->gone && !c->held_n && !c->login;
}

static void
on_client(struct watch *w, uint32_t events)
{
	struct client *c = w->arg;
	if (c->held_n && (events & EPOLLOUT))
		send_held(c);
	else if (c->login || c->held_n) /* hung up */
		client_close(c);
	else if (c->origin != LINK)
		(void)take_packet(c);
	else
		for (unsigned i = 0; i < LINK_TURN && take_packet(c);)
			i++;
	client_wait(c);
}

/* ---- newcomers ---- */

/* NULL: turned away; fd is closed. */
static struct client *
client_new(int fd, enum origin origin, unsigned may)
{
	struct client *c = count < MAX_CLIENTS ? calloc(1, sizeof(*c)) : NULL;
	if (!c) {
		io_close(&fd);
		LOG(WARN, "client-refused", F_NUM("clients", count));
		return NULL;
	}
	c->watch = (struct watch){ .fd = fd, .ready = on_client, .arg = c };
	c->origin = origin;
	c->may = may;
	c->last_ms = origin == STRANGER ? clock_mono_ms() : 0;
	set_facts(c, STR(""), STR(""));
	if (loop_add(&c->watch, EPOLLIN) < 0) {
		LOG(ERROR, "epoll_ctl", F_ERRNO(errno));
		io_close(&fd);
		free(c);
		return NULL;
	}
	count++;
	return c;
}

void
client_session(int fd, struct str sid, struct str ip, unsigned may)
{
	struct client *c = client_new(fd, SESSION, may);
	if (c)
		set_facts(c, sid, ip);
}

void
client_link(int fd)
{
	if (link_client)
		client_close(link_client);
	link_client = client_new(fd, LINK, CLIENT_W);
}

static unsigned
rights_of(uid_t uid)
{
	unsigned may = CLIENT_R;
	if (uid == 0 || (users.one && uid == users.own))
		may |= CLIENT_Q | CLIENT_H | CLIENT_L | CLIENT_P;
	else if (uid == users.own)
		may |= CLIENT_Q | CLIENT_H;
	else if (uid == users.smtpd)
		may |= CLIENT_P;
	else if (uid == users.popup)
		may = CLIENT_L | CLIENT_P;
	return may;
}

static void
list_add(struct client *c)
{
	c->next = callers;
	if (callers)
		callers->prev = c;
	callers = c;
	caller_count++;
	if (c->origin == STRANGER)
		stranger_count++;
}

/* The stranger that has been silent for longest makes room for the next. */
static void
evict_stranger(void)
{
	struct client *oldest = NULL;
	for (struct client *c = callers; c; c = c->next)
		if (c->origin == STRANGER &&
		    (!oldest || c->last_ms <= oldest->last_ms))
			oldest = c;
	if (oldest)
		client_close(oldest);
}

static void
on_listener(struct watch *w, uint32_t events)
{
	uid_t uid;
	(void)events;
	if (caller_count >= MAX_CALLERS) {
		loop_change(w, 0); /* until one goes */
		return;
	}
	int fd = door_accept(w, &uid);
	if (fd < 0)
		return;
	unsigned may = rights_of(uid);
	enum origin origin = may == CLIENT_R ? STRANGER : CALLER;
	if (origin == STRANGER && stranger_count >= MAX_STRANGERS)
		evict_stranger();
	struct client *c = client_new(fd, origin, may);
	if (c)
		list_add(c);
}

static void
free_dead(void)
{
	while (dead) {
		struct client *next = dead->next;
		free(dead);
		dead = next;
	}
}

int
client_expire(void)
{
	free_dead();
	if (caller_count == 0)
		return -1;
	if (stranger_count == 0)
		return TICK_MS;
	int64_t now = clock_mono_ms();
	for (struct client *c = callers, *next; c; c = next) {
		next = c->next;
		if (c->origin == STRANGER && now - c->last_ms > STRANGER_MS)
			client_close(c);
	}
	return TICK_MS;
}

void
client_init(const struct client_users *u, int listen_fd)
{
	users = *u;
	login_done = on_login_done;
	login_init();
	if (listen_fd < 0)
		return;
	listener = (struct watch){ .fd = listen_fd, .ready = on_listener };
	door_open(&listener, "run/users");
}
