/* SPDX-License-Identifier: ISC
 * login: see the header.
 */
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>
#include "common/clock.h"
#include "common/io.h"
#include "common/ip.h"
#include "common/link.h"
#include "common/log.h"
#include "common/verdict.h"
#include "users/hasher.h"
#include "users/line.h"
#include "users/login.h"
#include "users/loginname.h"

enum {
	PER_PEER = LOGIN_MAX / 2, /* places of one IPv4 address or IPv6 /64 */
	QUEUE_MS = 60 * 1000,
	CHECK_MS = 30 * 1000,
	BECOME_MS = 60 * 1000,
	TICK_MS = 1000,
	TRIES = 2 /* a worker that dies costs one */
};

enum state {
	FREE,
	QUEUED,	  /* waits for a worker */
	CHECKING, /* a worker has it */
	RIGHT,	  /* waits for become's link to take it */
	HANDED	  /* become has it */
};

struct attempt {
	enum state state;
	uint64_t key; /* also the order of arrival */
	int64_t since;
	unsigned tries;
	bool exists; /* else the hash is the dummy */
	bool system;
	void *owner;
	struct ip net; /* for PER_PEER */
	int fds[LOGIN_FDS];
	struct buf user, password, already, sid, ip, mailbox, name;
	char user_room[LIMIT_ADDRESS], password_room[LIMIT_PASSWORD];
	char already_room[LOGIN_ALREADY], sid_room[LIMIT_SID];
	char ip_room[LIMIT_PEER], mailbox_room[LINE_MAILBOX];
	char name_room[LIMIT_ADDRESS + 2];
};

const struct tables *login_tables;
const struct table *login_accounts;
void (*login_done)(void *owner, char verdict, const char *text);

static struct attempt attempts[LOGIN_MAX];
static unsigned busy;
static uint64_t last_key;

static void take_answer(struct link *, struct packet *, int *, size_t);
static void hand_over_waiting(struct link *);
static void become_lost(struct link *);

static struct link become =
    LINK_DOWN("become", take_answer, hand_over_waiting, become_lost);

static const char wrong_login[] = "5.7.8 authentication failed";
static const char too_many[] = "4.7.0 too many logins at once";
static const char no_mail[] = "4.3.0 the mailbox cannot be opened now";

/* ---- places ---- */

static void
forget_secret(struct attempt *a)
{
	sodium_memzero(a->password_room, sizeof(a->password_room));
	a->password.n = 0;
}

static void
free_attempt(struct attempt *a)
{
	if (a->state == FREE)
		return;
	forget_secret(a);
	packet_close_fds(a->fds, LOGIN_FDS);
	a->state = FREE;
	a->owner = NULL;
	busy--;
}

static void
log_end(const struct attempt *a, char verdict, const char *text)
{
	struct str user = buf_str(a->name.n ? &a->name : &a->user);
	if (verdict == VERDICT_OK)
		LOG(INFO, "login", F_STR("sid", buf_str(&a->sid)),
		    F_STR("ip", buf_str(&a->ip)), F_STR("user", user),
		    F_TEXT("result", "ok"));
	else
		LOG(WARN, "login", F_STR("sid", buf_str(&a->sid)),
		    F_STR("ip", buf_str(&a->ip)), F_STR("user", user),
		    F_TEXT("result",
			verdict == VERDICT_FAIL ? "failed" : "deferred"),
		    F_TEXT("text", text));
}

static void
finish(struct attempt *a, char verdict, const char *text)
{
	void *owner = a->owner;
	log_end(a, verdict, text);
	free_attempt(a);
	if (owner)
		login_done(owner, verdict, text);
}

/* ---- become ---- */

static void
put_start(struct buf *b, const struct attempt *a)
{
	packet_begin(b, 'P');
	packet_u64(b, a->key);
	packet_str(b, a->system ? buf_str(&a->name) : STR(""));
	packet_str(b, buf_str(&a->mailbox));
	packet_str(b, buf_str(&a->sid));
	packet_str(b, buf_str(&a->ip));
	packet_str(b, buf_str(&a->name));
	packet_str(b, buf_str(&a->already));
}

/* Hands the connection over as soon as the link takes it. */
static void
hand_over(struct attempt *a)
{
	static char room[PACKET_MAX];
	struct buf b = BUF_ON(room);
	put_start(&b, a);
	if (!b.full && link_send_fds(&become, &b, a->fds, LOGIN_FDS)) {
		packet_close_fds(a->fds, LOGIN_FDS);
		a->state = HANDED;
		a->since = clock_mono_ms();
	} else if (b.full || !become.blocked) {
		finish(a, VERDICT_DEFER, no_mail);
	}
}

static void
hand_over_waiting(struct link *l)
{
	(void)l;
	for (size_t i = 0; i < LOGIN_MAX; i++)
		if (attempts[i].state == RIGHT)
			hand_over(&attempts[i]);
}

static struct attempt *
handed(uint64_t key)
{
	for (size_t i = 0; i < LOGIN_MAX; i++)
		if (attempts[i].state == HANDED && attempts[i].key == key)
			return &attempts[i];
	return NULL;
}

static void
take_answer(struct link *l, struct packet *p, int *fds, size_t nfds)
{
	char room[LIMIT_REPORT];
	struct buf text = BUF_ON(room);
	uint64_t key = packet_get_u64(p);
	(void)fds;
	(void)nfds;
	if (p->type == VERDICT_DEFER)
		buf_put(&text, packet_get_str(p, sizeof(room) - 1));
	struct attempt *a = handed(key);
	if (!packet_end(p) ||
	    (p->type != VERDICT_OK && p->type != VERDICT_DEFER)) {
		link_complain(l, p->type);
		return;
	}
	if (!a) /* too late */
		return;
	const char *why = buf_cstr(&text);
	finish(a, p->type, p->type == VERDICT_OK || !why ? no_mail : why);
}

static void
become_lost(struct link *l)
{
	(void)l;
	for (size_t i = 0; i < LOGIN_MAX; i++)
		if (attempts[i].state == HANDED)
			finish(&attempts[i], VERDICT_DEFER, no_mail);
}

void
login_link(int fd)
{
	link_close(&become);
	become_lost(&become);
	if (link_open(&become, fd))
		hand_over_waiting(&become);
}

/* ---- checks ---- */

static void
on_checked(void *arg, char verdict)
{
	struct attempt *a = arg;
	if (verdict == VERDICT_DEFER && ++a->tries < TRIES && a->owner) {
		a->state = QUEUED; /* key keeps its place in the line */
		return;
	}
	forget_secret(a);
	if (verdict == VERDICT_DEFER)
		finish(
		    a, VERDICT_DEFER, "4.3.0 the password cannot be checked");
	else if (!a->exists && (!login_tables || !login_accounts))
		finish(a, VERDICT_DEFER, "4.3.0 the users are not known yet");
	else if (verdict == VERDICT_FAIL || !a->exists)
		finish(a, VERDICT_FAIL, wrong_login);
	else if (!a->owner)
		finish(a, VERDICT_DEFER, "4.4.2 the session is over");
	else {
		a->state = RIGHT;
		a->since = clock_mono_ms();
		hand_over(a);
	}
}

/* Looks the user up now, so that the newest tables count; an unknown one costs
 * the same work. */
static int
check(struct attempt *a)
{
	struct login l = { .found = false };
	if (login_tables)
		loginname_find(
		    login_tables, login_accounts, buf_str(&a->user), &l);
	a->exists = l.found;
	a->system = l.found && l.system;
	buf_reset(&a->name);
	buf_reset(&a->mailbox);
	if (l.found) {
		buf_put(&a->name, l.name);
		buf_put(&a->mailbox, l.mailbox);
	}
	struct str hash = l.found ? l.hash : hasher_dummy();
	return hasher_check(hash, buf_str(&a->password), on_checked, a);
}

static struct attempt *
next_queued(void)
{
	struct attempt *first = NULL;
	for (size_t i = 0; i < LOGIN_MAX; i++)
		if (attempts[i].state == QUEUED &&
		    (!first || attempts[i].key < first->key))
			first = &attempts[i];
	return first;
}

static void
pump(void)
{
	struct attempt *a = NULL;
	while (busy > 0 && hasher_idle() && (a = next_queued()) != NULL) {
		if (check(a) < 0)
			break; /* a dying worker: its end comes next */
		a->state = CHECKING;
		a->since = clock_mono_ms();
	}
}

/* ---- requests ---- */

/* Who has a /64 has all of its addresses.  No address: all zero. */
static struct ip
net_of(struct str text)
{
	struct ip ip;
	if (!ip_parse(text, &ip))
		return (struct ip){ .b = { 0 } };
	if (!ip_is_v4(&ip))
		memset(ip.b + 8, 0, 8);
	return ip;
}

static bool
peer_has_too_many(const struct ip *net)
{
	unsigned n = 0;
	for (size_t i = 0; i < LOGIN_MAX; i++)
		n += attempts[i].state != FREE && ip_eq(&attempts[i].net, net);
	return n >= PER_PEER;
}

static struct attempt *
free_place(void)
{
	for (size_t i = 0; i < LOGIN_MAX; i++)
		if (attempts[i].state == FREE)
			return &attempts[i];
	return NULL;
}

static void
fill(struct buf *b, char *room, size_t cap, struct str s)
{
	*b = (struct buf){ .p = room, .cap = cap };
	buf_put(b, s);
}

static bool
fill_attempt(struct attempt *a, const struct login_request *r)
{
	fill(&a->user, a->user_room, sizeof(a->user_room), r->user);
	fill(&a->password, a->password_room, sizeof(a->password_room),
	    r->password);
	fill(&a->already, a->already_room, sizeof(a->already_room), r->already);
	fill(&a->sid, a->sid_room, sizeof(a->sid_room), r->sid);
	fill(&a->ip, a->ip_room, sizeof(a->ip_room), r->ip);
	fill(&a->name, a->name_room, sizeof(a->name_room), STR(""));
	fill(&a->mailbox, a->mailbox_room, sizeof(a->mailbox_room), STR(""));
	return !a->user.full && !a->password.full && !a->already.full &&
	       !a->sid.full && !a->ip.full;
}

void
login_begin(const struct login_request *r)
{
	struct attempt *a = free_place();
	struct ip net = net_of(r->ip);
	if (!a || peer_has_too_many(&net)) {
		int fds[LOGIN_FDS];
		memcpy(fds, r->fds, sizeof(fds));
		packet_close_fds(fds, LOGIN_FDS);
		LOG(WARN, "login", F_STR("sid", r->sid), F_STR("ip", r->ip),
		    F_STR("user", r->user), F_TEXT("result", "deferred"),
		    F_TEXT("text", too_many));
		login_done(r->owner, VERDICT_DEFER, too_many);
		return;
	}
	a->state = QUEUED;
	a->key = ++last_key;
	a->since = clock_mono_ms();
	a->tries = 0;
	a->owner = r->owner;
	a->net = net;
	memcpy(a->fds, r->fds, sizeof(a->fds));
	busy++;
	if (!fill_attempt(a, r))
		finish(a, VERDICT_FAIL, wrong_login);
	else
		pump();
}

void
login_forget(void *owner)
{
	for (size_t i = 0; i < LOGIN_MAX && busy > 0; i++) {
		struct attempt *a = &attempts[i];
		if (a->state == FREE || a->owner != owner)
			continue;
		a->owner = NULL;
		if (a->state == QUEUED || a->state == RIGHT)
			free_attempt(a);
	}
}

int
login_expire(void)
{
	if (busy == 0)
		return -1;
	int64_t now = clock_mono_ms();
	hasher_expire(CHECK_MS);
	for (size_t i = 0; i < LOGIN_MAX; i++) {
		struct attempt *a = &attempts[i];
		if ((a->state == QUEUED && now - a->since > QUEUE_MS) ||
		    (a->state == RIGHT && now - a->since > BECOME_MS))
			finish(a, VERDICT_DEFER, too_many);
		else if (a->state == HANDED && now - a->since > BECOME_MS)
			finish(a, VERDICT_DEFER, no_mail);
	}
	return TICK_MS;
}

void
login_init(void)
{
	hasher_on_free = pump;
}
