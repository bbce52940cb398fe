/* SPDX-License-Identifier: ISC
 * hubs: how agents come to be: become starts (or names) locals, dial connects
 * and remote's children serve the connection.  Contract in agent.h and
 * agents.h, the packets are in INTERNALS.md, "Agents".
 */
#include <string.h>
#include "common/clock.h"
#include "common/control.h"
#include "common/limits.h"
#include "common/log.h"
#include "queue/agent.h"
#include "queue/names.h"
#include "queue/pace.h"
#include "queue/patience.h"
#include "queue/places.h"

enum {
	CONNECT_MAX = 4096, /* agents on their way; over all places */
	CONNECT_MS = 1200 * 1000,
	SLOT_BITS = 12 /* of a key: which connect; the rest counts */
};

/* An agent that was asked for. */
struct connect {
	uint64_t key; /* 0: free */
	struct destination *destination;
	uint32_t place;
	bool sent, given_up, glimpse;
	int64_t since;
};

_Static_assert((int)CONNECT_MAX >= LIMIT_LOCALS + LIMIT_REMOTES,
    "an agent on its way has a place");

static void on_become(struct link *, struct packet *, int *, size_t);
static void on_dial(struct link *, struct packet *, int *, size_t);
static void on_remote(struct link *, struct packet *, int *, size_t);
static void on_room(struct link *);
static void on_lost(struct link *);

static struct link become = LINK_DOWN("become", on_become, on_room, on_lost);
static struct link dial = LINK_DOWN("dial", on_dial, on_room, on_lost);
static struct link remote = LINK_DOWN("remote", on_remote, on_room, on_lost);
static bool become_named, remote_named;

static struct connect connects[CONNECT_MAX];
static unsigned connect_count, connect_unsent, connect_next;
static uint64_t key_count;

/* How many agents the descriptors of qmgr, and of dial and remote, suffice for:
 * a connection has two of remote's.  Idle locals and bodies take the rest. */
static uint64_t files = UINT64_MAX, most_here = UINT64_MAX,
		most_there = UINT64_MAX;

void
agents_files(uint64_t limit)
{
	files = limit;
	most_here = limit / 8;
	most_there = limit / 4;
}

/* A stopped channel lets its queues go before the next wait. */
static void
set_limit(enum schedule_channel kind, uint64_t limit)
{
	bool stopped = places_stopped(kind);
	places_limit(kind, (unsigned)limit);
	if (limit == 0)
		LOG(WARN, "stopped",
		    F_TEXT("text", kind == SCHEDULE_LOCAL
				       ? "concurrencylocal is 0"
				       : "concurrencyremote is 0"));
	else if (stopped)
		delivery_go_on(kind);
	destinations_each(agents_wanted);
}

int
agents_load(int control_dirfd, bool apply)
{
	uint64_t here, there;
	if (control_number(control_dirfd, "concurrencylocal", &here) < 0 ||
	    control_number(control_dirfd, "concurrencyremote", &there) < 0)
		return -1;
	if (!apply)
		return 0;
	if (here > most_here || there > most_there)
		LOG(WARN, "few-descriptors", F_NUM("limit", files),
		    F_NUM("local", most_here), F_NUM("remote", most_there));
	set_limit(SCHEDULE_LOCAL, here < most_here ? here : most_here);
	set_limit(SCHEDULE_REMOTE, there < most_there ? there : most_there);
	return 0;
}

bool
agents_stopped(enum schedule_channel kind)
{
	return places_stopped(kind);
}

/* ---- connects ---- */

static void
connect_begin(struct destination *d)
{
	while (connects[connect_next].key != 0)
		connect_next = (connect_next + 1) % CONNECT_MAX;
	struct connect *c = &connects[connect_next];
	*c = (struct connect){ .key = ++key_count << SLOT_BITS | connect_next,
		.destination = d,
		.place = places_take(d),
		.since = clock_mono_ms() };
	connect_next = (connect_next + 1) % CONNECT_MAX;
	connect_count++;
	connect_unsent++;
	d->connecting++;
}

static struct connect *
connect_find(uint64_t key, enum schedule_channel kind)
{
	struct connect *c = &connects[key & (CONNECT_MAX - 1)];
	if (key == 0 || c->key != key || c->destination->kind != kind)
		return NULL;
	return c;
}

/* The connect is over; its place passes to the caller. */
static struct destination *
connect_end(struct connect *c)
{
	struct destination *d = c->destination;
	if (!c->sent)
		connect_unsent--;
	c->key = 0;
	connect_count--;
	d->connecting--;
	return d;
}

void
hubs_closed(struct destination *d, uint32_t place)
{
	places_give(d, place);
	struct destination *next = places_next(d->kind);
	if (next != NULL)
		agents_wanted(next);
}

static bool
connect_send(struct connect *c)
{
	static char space[PACKET_MAX];
	struct buf out = BUF_ON(space);
	const struct destination *d = c->destination;
	bool local = d->kind == SCHEDULE_LOCAL;
	/* by hand, or for the last time: whatever is known of the host */
	bool forced = d->rest_until > clock_mono_ms();
	packet_begin(&out, local ? 'L' : forced ? 'D' : 'C');
	packet_u64(&out, c->key);
	packet_str(&out, names_str(local ? d->name : d->domain));
	if (!local) {
		packet_u32(&out, d->tried_count);
		for (unsigned i = 0; i < d->tried_count; i++)
			packet_str(&out, names_str(d->tried[i]));
	}
	return link_send(local ? &become : &dial, &out, -1);
}

void
hubs_flush(void)
{
	for (unsigned i = 0; i < CONNECT_MAX && connect_unsent > 0; i++) {
		struct connect *c = &connects[i];
		if (c->key == 0 || c->sent || !connect_send(c))
			continue;
		c->sent = true;
		connect_unsent--;
	}
}

/* A hub is gone and with it what it was asked for. */
static void
ask_again(enum schedule_channel kind)
{
	for (unsigned i = 0; i < CONNECT_MAX; i++) {
		struct connect *c = &connects[i];
		if (c->key == 0 || !c->sent || c->destination->kind != kind)
			continue;
		c->sent = c->given_up = c->glimpse = false;
		connect_unsent++;
	}
}

size_t
hubs_silent(struct silent *out, size_t most)
{
	size_t n = 0;
	for (unsigned i = 0; i < CONNECT_MAX && n < most; i++) {
		const struct connect *c = &connects[i];
		if (c->key == 0 || !c->sent || c->given_up ||
		    c->destination->kind != SCHEDULE_REMOTE)
			continue;
		out[n++] = (struct silent){ .since = c->since,
			.key = c->key,
			.suspect = c->destination->failures > 0,
			.brief = places_brief(c->place) };
	}
	return n;
}

void
hubs_give_up(uint64_t key, bool glimpse)
{
	char space[16];
	struct buf out = BUF_ON(space);
	packet_begin(&out, 'X');
	packet_u64(&out, key);
	struct connect *c = &connects[key & (CONNECT_MAX - 1)];
	c->given_up = link_send(&dial, &out, -1);
	c->glimpse = c->given_up && glimpse;
}

bool
hubs_connecting(void)
{
	return connect_count > 0;
}

/* ---- who gets a place ---- */

void
hubs_open(struct destination *d)
{
	while (destination_needs_agent(d) && connect_count < CONNECT_MAX &&
	       pace_ready(d, clock_mono_ms()) && places_free(d))
		connect_begin(d);
}

void
hubs_open_extra(struct destination *d)
{
	if (d->waiting > 0 && d->open < d->limit && d->connecting == 0 &&
	    connect_count < CONNECT_MAX && pace_ready(d, clock_mono_ms()) &&
	    places_free(d))
		connect_begin(d);
}

/* ---- failures ---- */

void
hubs_failed(struct destination *d, char verdict, struct str text)
{
	static char space[LIMIT_REPORT + 1];
	struct buf copy = BUF_ON(space);
	buf_put(&copy, str_head(text, LIMIT_REPORT));
	text = buf_str(&copy);
	if (text.n == 0)
		text = STR("4.3.0 no reason given");
	if (verdict == 'D') {
		destination_success(d); /* nothing is wrong with the host */
	} else {
		destination_failure(d, clock_mono_ms(), text);
		LOG(INFO, "host-rests", F_STR("host", names_str(d->name)),
		    F_NUM("failures", d->failures),
		    F_NUM("seconds", schedule_host_rest(d->failures)),
		    F_NUM("waiting", d->waiting), F_STR("text", text));
	}
	delivery_report_all(d, verdict, text);
	agents_wanted(d);
}

/* Is another agent of d at work, or on its way? */
static bool
others_work(const struct destination *d)
{
	bool found = d->connecting > 0;
	for (const struct agent *a = d->agents; a != NULL; a = a->sibling)
		found = found || (!a->refused && !a->leaving);
	return found;
}

/* Other domains may lead there too.  When dial takes nothing now, each finds
 * out by itself. */
static void
tell_dead(struct str ip, struct str text)
{
	static char space[LIMIT_PEER + LIMIT_REPORT + 16];
	struct buf out = BUF_ON(space);
	packet_begin(&out, 'B');
	packet_str(&out, ip);
	packet_str(&out, str_head(text, LIMIT_REPORT));
	if (ip.n > 0)
		(void)link_send(&dial, &out, -1);
}

void
hubs_refused(struct destination *d, struct str ip, struct str text)
{
	if (others_work(d)) { /* it wants fewer of us */
		d->limit = d->limit > 1 ? d->limit / 2 : 1;
		return;
	}
	LOG(INFO, "host-refuses", F_STR("host", names_str(d->name)),
	    F_STR("ip", ip), F_STR("text", text));
	uint32_t old = d->text;
	d->text = names_take(text);
	names_drop(old);
	tell_dead(ip, text);
	if (d->tried_count < TRIED_MAX && ip.n > 0)
		d->tried[d->tried_count++] = names_take(ip);
	else
		hubs_failed(d, 'Z', text);
}

/* ---- from the hubs ---- */

/* become and dial: no agent. */
static void
on_no_agent(struct link *l, struct packet *p, enum schedule_channel kind)
{
	uint64_t key = packet_get_u64(p);
	char verdict = (char)packet_get_u8(p);
	struct str text = packet_get_str(p, LIMIT_REPORT);
	if (!packet_end(p)) {
		link_complain(l, p->type);
		return;
	}
	struct connect *c = connect_find(key, kind);
	if (c == NULL)
		return; /* asked twice, over two links */
	uint32_t place = c->place;
	bool glimpse = c->glimpse && verdict == 'Z';
	struct destination *d = connect_end(c);
	d->glimpsed = d->glimpsed || glimpse;
	hubs_closed(d, place);
	if (glimpse) {
		agents_wanted(d);
		return;
	}
	if (d->open > 0) {
		d->limit = d->limit > 1 ? d->limit / 2 : 1;
		agents_wanted(d);
		return;
	}
	/* what a server said tells more than that no other is left */
	if (d->tried_count > 0)
		text = names_str(d->text);
	hubs_failed(d, verdict, text);
}

/* An agent's job socket.  key 0: it ran before this qmgr did. */
static void
on_agent(uint64_t key, bool resumed, struct destination *d, int *fds,
    struct str host, struct str ip)
{
	struct connect *c = d == NULL ? NULL : connect_find(key, d->kind);
	int fd = fds[0];
	if (c == NULL && !(resumed && key == 0 && d != NULL))
		return; /* closed by link.c: the agent ends */
	fds[0] = -1;
	uint32_t place = c == NULL ? places_take(d) : c->place;
	int64_t took = c == NULL ? 0 : clock_mono_ms() - c->since;
	if (c != NULL)
		d = connect_end(c);
	agent_new(d, place, fd, host, ip, took, resumed);
}

static void
on_become(struct link *l, struct packet *p, int *fds, size_t nfds)
{
	if (p->type == 'F' && !p->bad) {
		on_no_agent(l, p, SCHEDULE_LOCAL);
		return;
	}
	if (p->type == 'E' && packet_end(p)) {
		become_named = true;
		return;
	}
	uint64_t key = packet_get_u64(p);
	bool resumed = packet_get_u8(p) != 0;
	struct str user = packet_get_str(p, LIMIT_USER);
	if (p->type != 'A' || !packet_end(p) || nfds != 1) {
		link_complain(l, p->type);
		return;
	}
	on_agent(key, resumed, destination_get(SCHEDULE_LOCAL, user, STR("")),
	    fds, STR(""), STR(""));
}

static void
on_dial(struct link *l, struct packet *p, int *fds, size_t nfds)
{
	(void)fds;
	(void)nfds;
	if (p->type == 'F' && !p->bad)
		on_no_agent(l, p, SCHEDULE_REMOTE);
	else
		link_complain(l, p->type);
}

static void
on_remote(struct link *l, struct packet *p, int *fds, size_t nfds)
{
	static char space[LIMIT_DOMAIN + LIMIT_PEER + 4];
	struct buf shown = BUF_ON(space);
	if (p->type == 'E' && packet_end(p)) {
		remote_named = true;
		return;
	}
	uint64_t key = packet_get_u64(p);
	bool resumed = packet_get_u8(p) != 0;
	struct str domain = packet_get_str(p, LIMIT_DOMAIN);
	struct str host = packet_get_str(p, LIMIT_DOMAIN);
	struct str ip = packet_get_str(p, LIMIT_PEER);
	if (p->type != 'A' || !packet_end(p) || nfds != 1) {
		link_complain(l, p->type);
		return;
	}
	buf_put(&shown, host);
	buf_putc(&shown, '[');
	buf_put(&shown, ip);
	buf_putc(&shown, ']');
	on_agent(key, resumed, delivery_destination(domain), fds,
	    buf_str(&shown), ip);
}

static void
on_room(struct link *l)
{
	(void)l;
	hubs_flush();
}

static void
on_lost(struct link *l)
{
	LOG(WARN, "link-lost", F_TEXT("peer", l->name));
	ask_again(l == &become ? SCHEDULE_LOCAL : SCHEDULE_REMOTE);
}

void
agents_become_link(int fd)
{
	ask_again(SCHEDULE_LOCAL);
	(void)link_open(&become, fd);
}

void
agents_dial_link(int fd)
{
	ask_again(SCHEDULE_REMOTE);
	(void)link_open(&dial, fd);
}

void
agents_remote_link(int fd)
{
	ask_again(SCHEDULE_REMOTE);
	(void)link_open(&remote, fd);
}

bool
agents_named(void)
{
	return become_named && remote_named;
}

void
hubs_tick(int64_t now_ms)
{
	for (unsigned i = 0; i < CONNECT_MAX && connect_count > 0; i++) {
		struct connect *c = &connects[i];
		if (c->key == 0 || now_ms - c->since < CONNECT_MS)
			continue;
		uint32_t place = c->place;
		struct destination *d = connect_end(c);
		hubs_closed(d, place);
		hubs_failed(d, 'Z', STR("4.4.1 no connection in 20 minutes"));
	}
}

struct agents_counts
agents_count(void)
{
	struct agents_counts n = { .local = places_taken(SCHEDULE_LOCAL),
		.remote = places_taken(SCHEDULE_REMOTE),
		.connecting = connect_count };
	return n;
}
