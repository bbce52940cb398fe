/* SPDX-License-Identifier: ISC
 * outcome: how an attempt ended and what follows: a mark, a later attempt, a
 * bounce.  Contract in delivery.h and outcome.h.
 */
#include "queue/outcome.h"

#include "common/clock.h"
#include "common/limits.h"
#include "queue/due.h"
#include "queue/names.h"
#include "queue/notes.h"

enum {
	HELD_AFTER = 3,	    /* agents that die with a message */
	LINES_AT_ONCE = 100 /* log lines for one host's failure */
};

#define NEVER INT64_MAX /* in place of a time: when the channel is opened */

static bool quiet;
static int64_t took; /* ms, by the agent whose report is being taken */
static uint32_t removed_in_line; /* recipients with RCPT_IN_LOT */
static struct delivery_totals totals, minute, minute_before;
static int64_t minute_number;

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
	totals.minute_arrived = minute_before.arrived;
	totals.minute_delivered = minute_before.delivered;
	totals.minute_deferred = minute_before.deferred;
	totals.minute_failed = minute_before.failed;
	return &totals;
}

void
delivery_count_arrival(void)
{
	roll_minute();
	totals.arrived++;
	minute.arrived++;
}

void
delivery_count_bounce(void)
{
	totals.bounced++;
}

void
delivery_log(enum log_level level, const char *event, const struct rcpt *r,
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
		F_NUM("took", took),
		F_NUM("attempt", r->attempts),
		F_STR("text", text),
	};
	log_event(level, event, fields, N_ELEMENTS(fields));
	took = 0;
}

void
delivery_took(int64_t ms)
{
	took = ms > 0 ? ms : 0;
}

/* ---- verdicts ---- */

static void
wait_until(uint32_t rcpt, int64_t when)
{
	struct rcpt *r = rcpt_at(rcpt);
	bool held = (message_at(r->message)->flags & MESSAGE_HELD) != 0;
	r->flags = (uint8_t)(r->flags & ~RCPT_FORCE);
	rcpt_set(rcpt, held ? RCPT_HELD : RCPT_WAITING);
	if (!held)
		due_put(rcpt, when == NEVER ? DUE_NEVER : delivery_tick(when));
	delivery_settle(r->message);
}

void
delivery_postpone(uint32_t rcpt, int64_t seconds, struct str text)
{
	struct rcpt *r = rcpt_at(rcpt);
	int64_t now = clock_now();
	int64_t end = message_at(r->message)->birth + delivery_lifetime();
	int64_t when = now + (seconds > 0 ? seconds : 1);
	if ((r->flags & RCPT_DELETE) != 0) {
		delivery_drop(rcpt, "removed");
		return;
	}
	rcpt_text(rcpt, text);
	wait_until(rcpt, end > now && when > end ? end : when);
}

void
delivery_leave_line(uint32_t rcpt)
{
	rcpt_at(rcpt)->flags |= RCPT_IN_LOT;
	removed_in_line++;
}

void
delivery_drop(uint32_t rcpt, const char *event)
{
	struct rcpt *r = rcpt_at(rcpt);
	delivery_log(LOG_INFO, event, r, names_str(r->text), STR(""));
	if (r->state == RCPT_WAITING)
		due_remove(rcpt);
	if (r->state == RCPT_QUEUED)
		delivery_leave_line(rcpt);
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
		delivery_log(LOG_ERROR, "failed", r, text, host);
		delivery_drop(rcpt, "double-bounce-dropped");
		return;
	}
	delivery_log(LOG_INFO, "failed", r, text, host);
	struct work *w = message_work(r->message);
	rcpt_set(rcpt, RCPT_FAILED);
	if (w->failed++ == 0) {
		w->failed_at = clock_mono_ms();
		delivery_group(r->message, w->failed_at);
	}
	delivery_settle(r->message);
}

void
delivery_give_up(uint32_t rcpt, struct str text)
{
	fail(rcpt, text, STR(""));
}

static void
expire(uint32_t rcpt, struct str text, struct str host)
{
	char space[LIMIT_REPORT + 128];
	struct buf all = BUF_ON(space);
	uint64_t lifetime = (uint64_t)delivery_lifetime();
	bool in_days = lifetime % 86400 == 0;
	buf_puts(&all, "4.4.7 not delivered within ");
	buf_put_u64(&all, in_days ? lifetime / 86400 : lifetime);
	buf_puts(&all, in_days ? " days" : " seconds");
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
	delivery_log(LOG_INFO, "deferred", r, text, host);
	if (schedule_is_last(m->birth, now, delivery_lifetime())) {
		expire(rcpt, text, host);
		return;
	}
	rcpt_text(rcpt, text);
	wait_until(rcpt,
	    schedule_next(message_id(m), m->birth, now, delivery_lifetime(),
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
	delivery_log(LOG_INFO, "delivered", r, text, host);
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

void
delivery_await_order(uint32_t rcpt, bool remote)
{
	rcpt_remote(rcpt, remote);
	if ((rcpt_at(rcpt)->flags & RCPT_DELETE) != 0) {
		delivery_drop(rcpt, "removed");
		return;
	}
	rcpt_text(rcpt,
	    remote ? STR("4.3.2 concurrencyremote is 0: all that mail waits")
		   : STR("4.3.2 concurrencylocal is 0: all that mail waits"));
	wait_until(rcpt, NEVER);
}

void
delivery_stop(struct destination *d)
{
	struct lot *lot;
	while ((lot = destination_take(d)) != NULL) {
		for (uint32_t i = 0; i < lot->n; i++) {
			uint32_t rcpt = lot_entry(lot, i)->rcpt;
			if (delivery_in_lot(rcpt))
				delivery_await_order(
				    rcpt, d->kind == SCHEDULE_REMOTE);
		}
		lot_free(lot);
	}
}

void
delivery_go_on(enum schedule_channel kind)
{
	bool remote = kind == SCHEDULE_REMOTE;
	uint32_t now = delivery_tick(0);
	for (uint32_t i = 1; i < index_rcpt_end(); i++) {
		const struct rcpt *r = rcpt_at(i);
		if (r->state != RCPT_WAITING || r->due != DUE_NEVER ||
		    ((r->flags & RCPT_REMOTE) != 0) != remote)
			continue;
		due_remove(i);
		due_put(i, now);
	}
}

bool
delivery_in_lot(uint32_t rcpt)
{
	struct rcpt *r = rcpt_at(rcpt);
	if (r->state == RCPT_QUEUED || r->state == RCPT_FLYING)
		return true;
	removed_in_line -= (r->flags & RCPT_IN_LOT) != 0;
	r->flags = (uint8_t)(r->flags & ~RCPT_IN_LOT);
	if ((r->flags & RCPT_MARKED) != 0)
		delivery_finished(rcpt);
	return false;
}

static void
trim(struct destination *d)
{
	destination_trim(d, delivery_in_lot);
}

void
delivery_let_go(void)
{
	if (removed_in_line > 0)
		destinations_each(trim);
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
