/* SPDX-License-Identifier: ISC
 * delivery: contract in delivery.h.
 */
#include "queue/delivery.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/address.h"
#include "common/clock.h"
#include "common/control.h"
#include "common/domains.h"
#include "common/io.h"
#include "common/limits.h"
#include "common/log.h"
#include "queue/agents.h"
#include "queue/bounces.h"
#include "queue/due.h"
#include "queue/manage.h"
#include "queue/names.h"
#include "queue/notes.h"
#include "queue/schedule.h"
#include "queue/where.h"
#include "send/route.h"

enum {
	HELD_AFTER = 3,	    /* agents that die with a message */
	GROUP_MS = 10000,   /* a bounce waits so long for the other results */
	LINES_AT_ONCE = 100 /* log lines for one host's failure */
};

static struct domains *domains;
static struct routes *routes;
static uint64_t lifetime;
static bool opened, quiet;
static int64_t base_ms;
static uint32_t body_limit, bodies;
static struct delivery_totals totals, minute, minute_before;
static int64_t minute_number;

/* messages to look at before the next wait */
static uint32_t *settling;
static size_t settle_count, settle_room;

/* messages with failures that wait for the rest, oldest first */
struct grouping {
	uint32_t message;
	int64_t at;
};
static struct grouping *groups;
static size_t group_first, group_end, group_room;

int
delivery_load(int control_dirfd)
{
	uint64_t seconds;
	struct domains *d = domains_load(control_dirfd);
	struct routes *r = routes_load(control_dirfd);
	if (d == NULL || r == NULL ||
	    control_number(control_dirfd, "queuelifetime", &seconds) < 0) {
		domains_free(d);
		routes_free(r);
		return -1;
	}
	domains_free(domains);
	routes_free(routes);
	domains = d;
	routes = r;
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
static uint32_t
tick_of(int64_t when)
{
	int64_t wait_ms = (when * 1000000 - clock_now_us() + 999) / 1000;
	int64_t ms = clock_mono_ms() - base_ms + (wait_ms > 0 ? wait_ms : 0);
	return (uint32_t)((ms * TICKS_PER_SECOND + 999) / 1000);
}

int64_t
delivery_when(const struct rcpt *r)
{
	if (r->state != RCPT_WAITING)
		return 0;
	return clock_now() + ((int64_t)r->due - tick_now()) / TICKS_PER_SECOND;
}

/* ---- bodies ---- */

void
delivery_body_limit(uint32_t most)
{
	body_limit = most;
}

bool
delivery_body_keep(uint32_t message, int fd, bool must)
{
	if (bodies >= body_limit && !must) {
		(void)close(fd); /* read only: nothing to lose */
		return false;
	}
	struct work *w = message_work(message);
	if (w->fd >= 0)
		(void)close(w->fd);
	else
		bodies++;
	w->fd = fd;
	return true;
}

static void
body_close(struct work *w)
{
	if (w->fd < 0)
		return;
	(void)close(w->fd);
	w->fd = -1;
	bodies--;
}

/* ---- log and totals ---- */

static void
roll_minute(void)
{
	int64_t now = clock_mono_ms() / 60000;
	if (now == minute_number)
		return;
	struct delivery_totals none = { 0 };
	minute_before = now == minute_number + 1 ? minute : none;
	minute = none;
	minute_number = now;
}

const struct delivery_totals *
delivery_totals(void)
{
	roll_minute();
	totals.minute_delivered = minute_before.delivered;
	totals.minute_deferred = minute_before.deferred;
	totals.minute_failed = minute_before.failed;
	return &totals;
}

void
delivery_count_bounce(void)
{
	totals.bounced++;
}

static void
log_result(enum log_level level, const char *event, const struct rcpt *r,
    struct str text, struct str host)
{
	const struct message *m = message_at(r->message);
	const struct work *w = message_working(r->message);
	int64_t now = clock_now();
	if (quiet)
		return;
	const struct log_field fields[] = {
		F_ID(message_id(m)),
		F_STR("sid", names_str(w == NULL ? 0 : w->sid)),
		F_STR("sender", names_str(m->sender)),
		F_STR("rcpt", names_str(r->name)),
		F_STR("host", host),
		F_NUM("delay", now > m->birth ? now - m->birth : 0),
		F_NUM("attempt", r->attempts),
		F_STR("text", text),
	};
	log_event(level, event, fields, N_ELEMENTS(fields));
}

/* ---- at rest again ---- */

void
delivery_settle(uint32_t message)
{
	struct message *m = message_at(message);
	if ((m->flags & MESSAGE_SETTLE) != 0)
		return;
	m->flags |= MESSAGE_SETTLE;
	if (settle_count == settle_room) {
		settle_room = settle_room == 0 ? 256 : settle_room * 2;
		settling =
		    must_grow(settling, settle_room, sizeof(settling[0]));
	}
	settling[settle_count++] = message;
}

static void
settle(uint32_t message)
{
	struct message *m = message_at(message);
	struct work *w = message_working(message);
	if (!message_used(message) || (m->flags & MESSAGE_SETTLE) == 0)
		return; /* forgotten since */
	m->flags = (uint8_t)(m->flags & ~MESSAGE_SETTLE);
	if (m->busy > 0)
		return;
	if (w != NULL && w->failed > 0)
		bounces_start(message);
	w = message_working(message);
	if (w != NULL && w->bounce == NULL && w->body_wish == 0 &&
	    w->failed == 0 && (m->flags & MESSAGE_MORE) == 0) {
		body_close(w);
		message_rest(message);
	}
	if (m->work == 0) {
		uint64_t id = message_id(m);
		if (!index_sweep(message))
			manage_gone(id);
	}
}

static void
group_later(uint32_t message, int64_t now)
{
	if (group_end == group_room && group_first > group_room / 2) {
		memmove(groups, groups + group_first,
		    (group_end - group_first) * sizeof(groups[0]));
		group_end -= group_first;
		group_first = 0;
	}
	if (group_end == group_room) {
		group_room = group_room == 0 ? 256 : group_room * 2;
		groups = must_grow(groups, group_room, sizeof(groups[0]));
	}
	groups[group_end++] =
	    (struct grouping){ .message = message, .at = now };
}

void
delivery_settle_all(void)
{
	/* a message that is looked at may name others, not itself */
	for (size_t i = 0; i < settle_count; i++)
		settle(settling[i]);
	settle_count = 0;
	int64_t before = clock_mono_ms() - GROUP_MS;
	while (group_first < group_end && groups[group_first].at <= before) {
		struct grouping g = groups[group_first++];
		struct work *w =
		    message_used(g.message) ? message_working(g.message) : NULL;
		if (w != NULL && w->failed > 0 && w->failed_at == g.at)
			bounces_start(g.message);
	}
	if (group_first == group_end)
		group_first = group_end = 0;
}

bool
delivery_grouping(void)
{
	return group_first < group_end;
}

/* ---- an attempt begins ---- */

bool
delivery_is_open(void)
{
	return opened;
}

void
delivery_open(void)
{
	opened = true;
	for (uint32_t i = 1; i < index_rcpt_end(); i++)
		if (rcpt_at(i)->state == RCPT_NEW)
			delivery_start(i);
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
	if (kind == DOMAIN_LOCAL || kind == DOMAIN_VIRTUAL) {
		rcpt_set(rcpt, RCPT_ASKING);
		where_ask(rcpt);
	} else {
		delivery_remote(rcpt);
	}
}

int64_t
delivery_due(void)
{
	uint32_t now = tick_now();
	for (;;) {
		uint32_t rcpt = due_first();
		if (rcpt == 0)
			return -1;
		if (rcpt_at(rcpt)->due > now)
			return (int64_t)rcpt_at(rcpt)->due - now;
		due_remove(rcpt);
		delivery_start(rcpt);
	}
}

static void
queue_at(struct destination *d, uint32_t rcpt, struct str target)
{
	rcpt_remote(rcpt, d->kind == SCHEDULE_REMOTE);
	if ((rcpt_at(rcpt)->flags & RCPT_DELETE) != 0) {
		delivery_drop(rcpt, "removed");
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
		log_result(LOG_INFO, "deferred", r, names_str(d->text),
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
	return destination_get(SCHEDULE_REMOTE, buf_str(&key), domain);
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

/* ---- and ends ---- */

static void
wait_until(uint32_t rcpt, int64_t when)
{
	struct rcpt *r = rcpt_at(rcpt);
	bool held = (message_at(r->message)->flags & MESSAGE_HELD) != 0;
	r->flags = (uint8_t)(r->flags & ~RCPT_FORCE);
	rcpt_set(rcpt, held ? RCPT_HELD : RCPT_WAITING);
	if (!held)
		due_put(rcpt, tick_of(when));
	delivery_settle(r->message);
}

void
delivery_postpone(uint32_t rcpt, int64_t seconds, struct str text)
{
	struct rcpt *r = rcpt_at(rcpt);
	int64_t now = clock_now();
	int64_t end = message_at(r->message)->birth + (int64_t)lifetime;
	int64_t when = now + (seconds > 0 ? seconds : 1);
	if ((r->flags & RCPT_DELETE) != 0) {
		delivery_drop(rcpt, "removed");
		return;
	}
	rcpt_text(rcpt, text);
	wait_until(rcpt, end > now && when > end ? end : when);
}

void
delivery_drop(uint32_t rcpt, const char *event)
{
	struct rcpt *r = rcpt_at(rcpt);
	log_result(LOG_INFO, event, r, names_str(r->text), STR(""));
	if (r->state == RCPT_WAITING)
		due_remove(rcpt);
	if (r->state == RCPT_QUEUED)
		r->flags |= RCPT_IN_LOT;
	rcpt_set(rcpt, RCPT_MARKING);
	notes_mark(rcpt, 'D', NULL);
	delivery_settle(r->message);
}

static void
fail(uint32_t rcpt, struct str text, struct str host)
{
	struct rcpt *r = rcpt_at(rcpt);
	struct message *m = message_at(r->message);
	totals.failed++;
	minute.failed++;
	rcpt_text(rcpt, text);
	if ((r->flags & RCPT_DELETE) != 0) {
		delivery_drop(rcpt, "removed");
		return;
	}
	if (str_eq(names_str(m->sender), STR("#@[]"))) {
		log_result(LOG_ERROR, "failed", r, text, host);
		delivery_drop(rcpt, "double-bounce-dropped");
		return;
	}
	log_result(LOG_INFO, "failed", r, text, host);
	struct work *w = message_work(r->message);
	rcpt_set(rcpt, RCPT_FAILED);
	if (w->failed++ == 0) {
		w->failed_at = clock_mono_ms();
		group_later(r->message, w->failed_at);
	}
	delivery_settle(r->message);
}

static void
expire(uint32_t rcpt, struct str text, struct str host)
{
	char space[LIMIT_REPORT + 128];
	struct buf all = BUF_ON(space);
	buf_puts(&all, "4.4.7 not delivered within ");
	buf_put_u64(&all, lifetime % 86400 == 0 ? lifetime / 86400 : lifetime);
	buf_puts(&all, lifetime % 86400 == 0 ? " days" : " seconds");
	buf_puts(&all, "; the last attempt said: ");
	buf_put(&all, str_head(text, LIMIT_REPORT));
	fail(rcpt, buf_str(&all), host);
}

static void
defer(uint32_t rcpt, struct str text, struct str host)
{
	struct rcpt *r = rcpt_at(rcpt);
	struct message *m = message_at(r->message);
	int64_t now = clock_now();
	if ((r->flags & RCPT_DELETE) != 0) {
		delivery_drop(rcpt, "removed");
		return;
	}
	totals.deferred++;
	minute.deferred++;
	log_result(LOG_INFO, "deferred", r, text, host);
	if (schedule_is_last(m->birth, now, (int64_t)lifetime)) {
		expire(rcpt, text, host);
		return;
	}
	rcpt_text(rcpt, text);
	wait_until(
	    rcpt, schedule_next(message_id(m), m->birth, now, (int64_t)lifetime,
		      (r->flags & RCPT_REMOTE) != 0 ? SCHEDULE_REMOTE
						    : SCHEDULE_LOCAL,
		      r->attempts));
}

void
delivery_report(uint32_t rcpt, char verdict, struct str text, struct str host,
    struct agent *agent)
{
	struct rcpt *r = rcpt_at(rcpt);
	roll_minute();
	if (r->attempts < UINT8_MAX)
		r->attempts++;
	text = str_head(text, LIMIT_REPORT);
	message_at(r->message)->crashes = 0;
	if (verdict == 'D') {
		fail(rcpt, text, host);
		return;
	}
	if (verdict != 'K') {
		defer(rcpt, text, host);
		return;
	}
	totals.delivered++;
	minute.delivered++;
	log_result(LOG_INFO, "delivered", r, text, host);
	rcpt_set(rcpt, RCPT_MARKING);
	notes_mark(rcpt, 'K', agent);
	delivery_settle(r->message);
}

void
delivery_report_all(struct destination *d, char verdict, struct str text)
{
	struct lot *lot;
	unsigned lines = 0;
	while ((lot = destination_take(d)) != NULL) {
		for (uint32_t i = 0; i < lot->n; i++) {
			uint32_t rcpt = lot_entry(lot, i)->rcpt;
			if (!delivery_in_lot(rcpt))
				continue;
			rcpt_set(rcpt, RCPT_FLYING);
			quiet = lines++ >= LINES_AT_ONCE;
			delivery_report(
			    rcpt, verdict, text, names_str(d->name), NULL);
		}
		lot_free(lot);
	}
	quiet = false;
	if (lines > LINES_AT_ONCE)
		LOG(INFO, "more", F_NUM("recipients", lines - LINES_AT_ONCE),
		    F_STR("host", names_str(d->name)), F_STR("text", text));
}

bool
delivery_in_lot(uint32_t rcpt)
{
	struct rcpt *r = rcpt_at(rcpt);
	if (r->state == RCPT_QUEUED || r->state == RCPT_FLYING)
		return true;
	r->flags = (uint8_t)(r->flags & ~RCPT_IN_LOT);
	if ((r->flags & RCPT_MARKED) != 0)
		delivery_finished(rcpt);
	return false;
}

void
delivery_finished(uint32_t rcpt)
{
	struct rcpt *r = rcpt_at(rcpt);
	uint32_t message = r->message;
	if ((r->flags & RCPT_IN_LOT) != 0) {
		r->flags |= RCPT_MARKED;
		return;
	}
	rcpt_set(rcpt, RCPT_DONE);
	delivery_settle(message);
}

void
delivery_crashed(uint32_t message)
{
	struct message *m = message_at(message);
	if (m->crashes < UINT8_MAX)
		m->crashes++;
	if (m->crashes < HELD_AFTER || (m->flags & MESSAGE_HELD) != 0)
		return;
	m->flags |= MESSAGE_HELD;
	LOG(ERROR, "held", F_ID(message_id(m)),
	    F_STR("sender", names_str(m->sender)),
	    F_TEXT("text",
		"three agents died with this message; see postern queue retry "
		"and postern queue delete"));
}

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
		packet_str(&w, packet_get_str(targets, LIMIT_ADDRESS * 2));
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
	log_result(LOG_INFO, "forwarded", r, STR(""), STR(""));
	rcpt_set(rcpt, RCPT_DONE);
	delivery_settle(r->message);
}

/* ---- orders ---- */

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
