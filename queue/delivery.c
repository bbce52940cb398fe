/* SPDX-License-Identifier: ISC
 * delivery: an attempt begins: what is due, and where it goes.  Contract in
 * delivery.h.
 */
#include "queue/delivery.h"

#include "common/address.h"
#include "common/clock.h"
#include "common/control.h"
#include "common/domains.h"
#include "common/limits.h"
#include "queue/agents.h"
#include "queue/due.h"
#include "queue/names.h"
#include "queue/outcome.h"
#include "queue/where.h"
#include "send/route.h"

enum {
	START_AT_ONCE = 500, /* attempts, before others get their turn */
	IN_LINE = 20000,     /* while more recipients wait for an agent, */
	START_SLOWLY = 100   /* so many in a tick: new mail is not held up */
};

static struct domains *domains;
static struct routes *routes;
static struct hostrules *hostrules;
static uint64_t lifetime;
static bool opened;
static int64_t base_ms;

/* By the domain, or by the host that a route names for it. */
static void
apply_rule(struct destination *d)
{
	struct str name = names_str(d->name);
	if (d->kind != SCHEDULE_REMOTE)
		return;
	if (!str_ieq(name, names_str(d->domain)))
		while (name.n > 0 && name.p[--name.n] != ':')
			;
	destination_rule(d, hostrules_find(hostrules, name));
}

int
delivery_load(int control_dirfd)
{
	uint64_t seconds;
	struct domains *d = domains_load(control_dirfd);
	struct routes *r = routes_load(control_dirfd);
	struct hostrules *h = hostrules_load(control_dirfd);
	if (d == NULL || r == NULL || h == NULL ||
	    control_number(control_dirfd, "queuelifetime", &seconds) < 0) {
		domains_free(d);
		routes_free(r);
		hostrules_free(h);
		return -1;
	}
	domains_free(domains);
	routes_free(routes);
	hostrules_free(hostrules);
	domains = d;
	routes = r;
	hostrules = h;
	destinations_each(apply_rule);
	lifetime = seconds;
	if (base_ms == 0)
		base_ms = clock_mono_ms() - 1000;
	return 0;
}

int64_t
delivery_lifetime(void)
{
	return (int64_t)lifetime;
}

/* ---- time ---- */

static uint32_t
tick_now(void)
{
	return (
	    uint32_t)((clock_mono_ms() - base_ms) * TICKS_PER_SECOND / 1000);
}

/* The first tick at which it is `when` (seconds since 1970). */
uint32_t
delivery_tick(int64_t when)
{
	int64_t wait_ms = (when * 1000000 - clock_now_us() + 999) / 1000;
	int64_t ms = clock_mono_ms() - base_ms + (wait_ms > 0 ? wait_ms : 0);
	return (uint32_t)((ms * TICKS_PER_SECOND + 999) / 1000);
}

int64_t
delivery_when(const struct rcpt *r)
{
	if (r->state != RCPT_WAITING || r->due == DUE_NEVER)
		return 0;
	int64_t wait_ms = (int64_t)r->due * (1000 / TICKS_PER_SECOND) -
			  (clock_mono_ms() - base_ms);
	return (clock_now_us() + wait_ms * 1000 + 500000) / 1000000;
}

/* ---- an attempt begins ---- */

bool
delivery_is_open(void)
{
	return opened;
}

/* What was in the queue at the start is due, the youngest first. */
static uint32_t
first_tick(uint32_t message)
{
	static const int64_t ages[] = { 60, 600, 3600, 86400 };
	int64_t age = clock_now() - message_at(message)->birth;
	uint32_t tick = 0;
	while (tick < N_ELEMENTS(ages) && age > ages[tick])
		tick++;
	return tick;
}

void
delivery_open(void)
{
	opened = true;
	for (uint32_t i = 1; i < index_rcpt_end(); i++) {
		if (rcpt_at(i)->state != RCPT_NEW)
			continue;
		rcpt_set(i, RCPT_WAITING);
		due_put(i, first_tick(rcpt_at(i)->message));
	}
}

void
delivery_start(uint32_t rcpt)
{
	struct rcpt *r = rcpt_at(rcpt);
	if ((r->flags & RCPT_DELETE) != 0) {
		delivery_drop(rcpt, "removed");
		return;
	}
	if ((message_at(r->message)->flags & MESSAGE_HELD) != 0) {
		rcpt_set(rcpt, RCPT_HELD);
		delivery_settle(r->message);
		return;
	}
	struct str domain = address_split(names_str(r->name)).domain;
	struct str prepend;
	enum domain_kind kind = domain.n == 0
				    ? DOMAIN_LOCAL
				    : domains_find(domains, domain, &prepend);
	bool here = kind == DOMAIN_LOCAL || kind == DOMAIN_VIRTUAL;
	if (agents_stopped(here ? SCHEDULE_LOCAL : SCHEDULE_REMOTE)) {
		delivery_await_order(rcpt, !here);
	} else if (here) {
		rcpt_set(rcpt, RCPT_ASKING);
		where_ask(rcpt);
	} else {
		delivery_remote(rcpt);
	}
}

static uint64_t
in_line(void)
{
	return index_count(RCPT_QUEUED, false) +
	       index_count(RCPT_QUEUED, true) +
	       index_count(RCPT_ASKING, false) + index_count(RCPT_ASKING, true);
}

int64_t
delivery_due(void)
{
	static uint32_t slowed_at; /* the tick */
	uint32_t now = tick_now();
	unsigned most = START_AT_ONCE;
	if (in_line() > IN_LINE) {
		if (slowed_at == now)
			return 1;
		slowed_at = now;
		most = START_SLOWLY;
	}
	for (unsigned i = 0; i < most; i++) {
		uint32_t rcpt = due_first();
		if (rcpt == 0)
			return -1;
		if (rcpt_at(rcpt)->due > now)
			return (int64_t)rcpt_at(rcpt)->due - now;
		due_remove(rcpt);
		delivery_start(rcpt);
	}
	return most == START_AT_ONCE ? 0 : 1;
}

static void
queue_at(struct destination *d, uint32_t rcpt, struct str target)
{
	rcpt_remote(rcpt, d->kind == SCHEDULE_REMOTE);
	if ((rcpt_at(rcpt)->flags & RCPT_DELETE) != 0) {
		delivery_drop(rcpt, "removed");
		return;
	}
	if ((message_at(rcpt_at(rcpt)->message)->flags & MESSAGE_HELD) != 0) {
		rcpt_set(rcpt, RCPT_HELD); /* since it was begun */
		delivery_settle(rcpt_at(rcpt)->message);
		return;
	}
	rcpt_set(rcpt, RCPT_QUEUED);
	destination_put(d, rcpt_at(rcpt)->message, rcpt, names_take(target));
	agents_wanted(d);
}

/* Is there no use in trying this destination now, for this recipient? */
static bool
is_resting(const struct destination *d, const struct rcpt *r)
{
	const struct message *m = message_at(r->message);
	return d->open == 0 && d->rest_until > clock_mono_ms() &&
	       (r->flags & RCPT_FORCE) == 0 &&
	       !schedule_is_last(m->birth, clock_now(), (int64_t)lifetime);
}

static void
let_rest(const struct destination *d, uint32_t rcpt)
{
	struct rcpt *r = rcpt_at(rcpt);
	uint64_t id = message_id(message_at(r->message));
	int64_t left = (d->rest_until - clock_mono_ms()) / 1000;
	rcpt_remote(rcpt, d->kind == SCHEDULE_REMOTE);
	if (r->attempts == 0 && r->text == 0)
		delivery_log(LOG_INFO, "deferred", r, names_str(d->text),
		    names_str(d->name));
	delivery_postpone(rcpt, left + 1 + schedule_jitter(id, r->attempts, 3),
	    names_str(d->text));
}

void
delivery_local(uint32_t rcpt, struct str user, struct str target)
{
	struct destination *d = destination_get(SCHEDULE_LOCAL, user, STR(""));
	if (is_resting(d, rcpt_at(rcpt)))
		let_rest(d, rcpt);
	else
		queue_at(d, rcpt, target);
}

struct destination *
delivery_destination(struct str domain)
{
	char space[LIMIT_DOMAIN * 2];
	struct buf key = BUF_ON(space);
	struct str host;
	uint16_t port;
	if (routes_find(routes, domain, &host, &port)) {
		buf_put(&key, host);
		buf_putc(&key, ':');
		buf_put_u64(&key, port);
	} else {
		buf_put_lower(&key, domain);
	}
	if (key.full || domain.n == 0)
		return NULL;
	struct destination *d =
	    destination_get(SCHEDULE_REMOTE, buf_str(&key), domain);
	if (!d->ruled)
		apply_rule(d);
	return d;
}

void
delivery_remote(uint32_t rcpt)
{
	struct str name = names_str(rcpt_at(rcpt)->name);
	struct destination *d =
	    delivery_destination(address_split(name).domain);
	if (d == NULL)
		delivery_report(
		    rcpt, 'D', STR("5.1.2 no usable domain"), STR(""), NULL);
	else if (is_resting(d, rcpt_at(rcpt)))
		let_rest(d, rcpt);
	else
		queue_at(d, rcpt, STR(""));
}
