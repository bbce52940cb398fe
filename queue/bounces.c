/* SPDX-License-Identifier: ISC
 * bounces: contract in bounces.h; the packets are in INTERNALS.md, "Agents".
 */
#include "queue/bounces.h"

#include <stdlib.h>
#include "common/clock.h"
#include "common/limits.h"
#include "common/link.h"
#include "common/log.h"
#include "queue/names.h"
#include "queue/notes.h"

enum {
	OUT_MAX = 64,	  /* jobs out at a time */
	AGAIN_MS = 30000, /* after a bounce that could not be queued */
	JOB_ROOM = PACKET_MAX - 1024,
	/* what the report may come to without the header: address and text
	 * stand in it twice */
	REPORT_ROOM = LIMIT_SMALL_BODY - 8 * 1024,
	REPORT_OF_ONE = 256,
	TEXT_OF_MANY = 200, /* of each text, when there are more than */
	MANY = 20
};

enum stage { STAGE_BODY, STAGE_READY, STAGE_OUT, STAGE_LATER };

struct bounce {
	struct bounce *before, *after;
	uint32_t message;
	enum stage stage;
	int64_t again; /* STAGE_LATER: ms */
	uint32_t n, room;
	uint32_t *rcpts;
};

static void on_packet(struct link *, struct packet *, int *, size_t);
static void on_room(struct link *);
static void on_lost(struct link *);

static struct link link_to_bounce =
    LINK_DOWN("bounce", on_packet, on_room, on_lost);
static struct bounce *first, *last; /* all, oldest first */
static unsigned out_count, later_count, ready_count;
static int64_t later_at; /* no later one is due before (ms) */

static void
set_stage(struct bounce *b, enum stage stage)
{
	out_count -= b->stage == STAGE_OUT;
	later_count -= b->stage == STAGE_LATER;
	ready_count -= b->stage == STAGE_READY;
	b->stage = stage;
	out_count += stage == STAGE_OUT;
	later_count += stage == STAGE_LATER;
	ready_count += stage == STAGE_READY;
}

/* ---- making ---- */

static size_t
text_room(uint32_t failed)
{
	return failed > MANY ? TEXT_OF_MANY : LIMIT_REPORT;
}

/* Gathers the failed recipients that fit into one packet, and one report. */
static void
gather(struct bounce *b, struct work *w)
{
	const struct message *m = message_at(b->message);
	size_t most = text_room(w->failed);
	size_t bytes = names_str(m->sender).n, report = 0;
	for (uint32_t i = m->first; i != 0; i = rcpt_at(i)->sibling) {
		struct rcpt *r = rcpt_at(i);
		if (r->state != RCPT_FAILED || (r->flags & RCPT_BOUNCING) != 0)
			continue;
		bytes += 12 + names_str(r->name).n + most;
		report += REPORT_OF_ONE + 2 * (names_str(r->name).n + most);
		if (bytes > JOB_ROOM || report > REPORT_ROOM)
			break;
		r->flags |= RCPT_BOUNCING;
		if (b->n == b->room) {
			b->room = b->room == 0 ? 4 : b->room * 2;
			b->rcpts =
			    must_grow(b->rcpts, b->room, sizeof(b->rcpts[0]));
		}
		b->rcpts[b->n++] = i;
		w->failed--;
	}
}

void
bounces_start(uint32_t message)
{
	struct work *w = message_work(message);
	if (w->bounce != NULL || w->failed == 0)
		return;
	struct bounce *b = must_alloc(sizeof(*b));
	b->message = message;
	gather(b, w);
	b->before = last;
	if (last != NULL)
		last->after = b;
	else
		first = b;
	last = b;
	w->bounce = b;
	set_stage(b, w->fd >= 0 ? STAGE_READY : STAGE_BODY);
	if (w->fd < 0)
		notes_body(message);
}

static void
end(struct bounce *b)
{
	message_work(b->message)->bounce = NULL;
	set_stage(b, STAGE_BODY); /* in no count */
	if (b->before != NULL)
		b->before->after = b->after;
	else
		first = b->after;
	if (b->after != NULL)
		b->after->before = b->before;
	else
		last = b->before;
	delivery_settle(b->message);
	free(b->rcpts);
	free(b);
}

static void
put_off(struct bounce *b)
{
	set_stage(b, STAGE_LATER);
	b->again = clock_mono_ms() + AGAIN_MS;
	if (later_count == 1)
		later_at = b->again; /* others come later */
}

/* Nobody can be told. */
static void
give_up(struct bounce *b, struct str text)
{
	LOG(ERROR, "bounce-failed", F_ID(message_id(message_at(b->message))),
	    F_NUM("recipients", b->n), F_STR("text", text));
	for (uint32_t i = 0; i < b->n; i++)
		delivery_drop(b->rcpts[i], "not-bounced");
	end(b);
}

void
bounces_body(uint32_t message, char verdict, struct str text)
{
	struct work *w = message_working(message);
	struct bounce *b = w == NULL ? NULL : w->bounce;
	if (b == NULL || b->stage != STAGE_BODY)
		return;
	if (verdict == 'K')
		set_stage(b, STAGE_READY);
	else if (verdict == 'D')
		give_up(b, text);
	else
		put_off(b);
}

/* ---- sending ---- */

static bool
send_job(struct bounce *b)
{
	static char space[PACKET_MAX];
	struct buf out = BUF_ON(space);
	const struct message *m = message_at(b->message);
	const struct work *w = message_working(b->message);
	size_t most = text_room(b->n);
	packet_begin(&out, 'J');
	packet_u64(&out, message_id(m));
	packet_u64(&out, m->birth);
	packet_u64(&out, w->offset);
	packet_u64(&out, w->size);
	packet_str(&out, names_str(m->sender));
	packet_u32(&out, b->n);
	for (uint32_t i = 0; i < b->n; i++) {
		const struct rcpt *r = rcpt_at(b->rcpts[i]);
		packet_u32(&out, r->idx);
		packet_str(&out, names_str(r->name));
		packet_str(&out, str_head(names_str(r->text), most));
	}
	return link_send(&link_to_bounce, &out, w->fd);
}

/* What was put off long enough is tried again. */
static void
wake_later(int64_t now_ms)
{
	int64_t soonest = INT64_MAX;
	if (later_count == 0 || now_ms < later_at)
		return;
	for (struct bounce *b = first; b != NULL; b = b->after) {
		if (b->stage != STAGE_LATER)
			continue;
		if (b->again > now_ms) {
			soonest = b->again < soonest ? b->again : soonest;
			continue;
		}
		bool there = message_work(b->message)->fd >= 0;
		set_stage(b, there ? STAGE_READY : STAGE_BODY);
		if (!there)
			notes_body(b->message);
	}
	later_at = soonest;
}

void
bounces_flush(int64_t now_ms)
{
	wake_later(now_ms);
	if (!link_is_up(&link_to_bounce) || link_to_bounce.blocked)
		return;
	for (struct bounce *b = first; b != NULL && ready_count > 0;
	     b = b->after) {
		if (b->stage != STAGE_READY)
			continue;
		if (out_count == OUT_MAX || !send_job(b))
			return;
		set_stage(b, STAGE_OUT);
	}
}

int64_t
bounces_wait(int64_t now_ms)
{
	if (later_count == 0)
		return -1;
	return later_at > now_ms ? later_at - now_ms : 0;
}

/* ---- answers ---- */

static void
log_bounced(const struct bounce *b)
{
	const struct message *m = message_at(b->message);
	LOG(INFO, "bounced", F_ID(message_id(m)),
	    F_STR("sender", names_str(m->sender)), F_NUM("recipients", b->n));
}

static void
on_packet(struct link *l, struct packet *p, int *fds, size_t nfds)
{
	(void)fds;
	(void)nfds;
	uint64_t id = packet_get_u64(p);
	char verdict = (char)packet_get_u8(p);
	struct str text = packet_get_str(p, LIMIT_REPORT);
	uint32_t message = p->bad || p->type != 'R' ? 0 : index_find(id);
	struct work *w = message == 0 ? NULL : message_working(message);
	if (p->bad || p->type != 'R' || w == NULL || w->bounce == NULL ||
	    w->bounce->stage != STAGE_OUT) {
		link_complain(l, p->type);
		return;
	}
	struct bounce *b = w->bounce;
	if (verdict == 'D') {
		give_up(b, text);
	} else if (verdict != 'K') {
		LOG(WARN, "bounce-deferred", F_ID(id), F_STR("text", text));
		put_off(b);
	} else {
		log_bounced(b);
		delivery_count_bounce();
		for (uint32_t i = 0; i < b->n; i++)
			rcpt_set(b->rcpts[i], RCPT_DONE);
		end(b);
	}
}

static void
on_room(struct link *l)
{
	(void)l;
	bounces_flush(clock_mono_ms());
}

static void
send_again(void)
{
	for (struct bounce *b = first; b != NULL; b = b->after)
		if (b->stage == STAGE_OUT)
			set_stage(b, STAGE_READY);
}

static void
on_lost(struct link *l)
{
	LOG(WARN, "link-lost", F_TEXT("peer", l->name));
	send_again();
}

void
bounces_link(int fd)
{
	send_again();
	(void)link_open(&link_to_bounce, fd);
}
