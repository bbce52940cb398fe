/* SPDX-License-Identifier: ISC
 * destination: contract in destination.h.
 */
#include "queue/destination.h"

#include <stdlib.h>
#include <string.h>
#include "queue/index.h"
#include "queue/names.h"

/* A failure is remembered so long after the host's rest: then it counts as a
 * new one. */
enum { MEMORY_MS = 6 * 3600 * 1000 };

struct sender_queue {
	struct destination *destination;
	uint32_t sender;
	struct lot *first, *last;
	struct sender_queue *ring;  /* next in turn */
	struct sender_queue *chain; /* next in its bucket */
};

static struct destination **buckets;
static struct sender_queue **sender_buckets;
static uint32_t bucket_count, live, sender_bucket_count, sender_live;

void
destinations_init(void)
{
	bucket_count = sender_bucket_count = 256;
	buckets = must_alloc(bucket_count * sizeof(struct destination *));
	sender_buckets =
	    must_alloc(sender_bucket_count * sizeof(struct sender_queue *));
}

static uint32_t
mix(uint64_t a, uint64_t b)
{
	uint64_t h = (a ^ b * 0xff51afd7ed558ccdu) * 0x9e3779b97f4a7c15u;
	return (uint32_t)(h >> 32);
}

/* ---- destinations ---- */

static struct destination **
bucket_of(enum schedule_channel kind, uint32_t name)
{
	return &buckets[mix(name, (uint64_t)kind) & (bucket_count - 1)];
}

static void
grow_buckets(void)
{
	struct destination **old = buckets;
	uint32_t old_count = bucket_count;
	bucket_count *= 2;
	buckets = must_alloc(bucket_count * sizeof(struct destination *));
	for (uint32_t i = 0; i < old_count; i++) {
		struct destination *next;
		for (struct destination *d = old[i]; d != NULL; d = next) {
			struct destination **b = bucket_of(d->kind, d->name);
			next = d->chain;
			d->chain = *b;
			*b = d;
		}
	}
	free(old);
}

struct destination *
destination_get(enum schedule_channel kind, struct str key, struct str domain)
{
	uint32_t name = names_take(key);
	struct destination *d = *bucket_of(kind, name);
	while (d != NULL && (d->name != name || d->kind != kind))
		d = d->chain;
	if (d != NULL) {
		names_drop(name);
		return d;
	}
	if (live >= bucket_count)
		grow_buckets();
	d = must_alloc(sizeof(*d));
	struct destination **b = bucket_of(kind, name);
	*d = (struct destination){ .kind = kind,
		.name = name,
		.domain = names_take(domain),
		.limit = kind == SCHEDULE_LOCAL ? 1 : LIMIT_FIRST,
		.chain = *b };
	*b = d;
	live++;
	return d;
}

static bool
is_idle(const struct destination *d, int64_t now_ms)
{
	return d->waiting == 0 && d->open == 0 && d->agents == NULL &&
	       !d->dirty && !d->starving && d->rest_until <= now_ms;
}

static void
forget_tried(struct destination *d)
{
	for (unsigned i = 0; i < d->tried_count; i++)
		names_drop(d->tried[i]);
	d->tried_count = 0;
}

static void
unlink_and_free(struct destination **at)
{
	struct destination *d = *at;
	*at = d->chain;
	names_drop(d->name);
	names_drop(d->domain);
	names_drop(d->text);
	forget_tried(d);
	free(d);
	live--;
}

void
destination_release(struct destination *d, int64_t now_ms)
{
	/* what failed is remembered a while after its rest, so that the next
	 * failure makes the rest longer; destinations_sweep takes it */
	if (!is_idle(d, now_ms) || d->failures > 0)
		return;
	struct destination **at = bucket_of(d->kind, d->name);
	while (*at != d)
		at = &(*at)->chain;
	unlink_and_free(at);
}

void
destinations_sweep(int64_t now_ms)
{
	for (uint32_t i = 0; i < bucket_count; i++) {
		struct destination **at = &buckets[i];
		while (*at != NULL) {
			struct destination *d = *at;
			if (is_idle(d, now_ms) &&
			    (d->failures == 0 ||
				d->rest_until + MEMORY_MS < now_ms))
				unlink_and_free(at);
			else
				at = &d->chain;
		}
	}
}

void
destinations_each(void (*each)(struct destination *))
{
	for (uint32_t i = 0; i < bucket_count; i++)
		for (struct destination *d = buckets[i]; d != NULL;
		     d = d->chain)
			each(d);
}

/* ---- lots ---- */

struct lot *
lot_new(uint32_t message)
{
	struct lot *lot = must_alloc(sizeof(*lot));
	lot->message = message;
	lot->room = 1;
	return lot;
}

struct entry *
lot_entry(struct lot *lot, uint32_t i)
{
	return lot->more == NULL ? &lot->one : &lot->more[i];
}

void
lot_add(struct lot *lot, uint32_t rcpt, uint32_t target)
{
	if (lot->n == lot->room) {
		struct entry *old = lot->more;
		lot->room *= 4;
		lot->more = must_grow(old, lot->room, sizeof(*lot->more));
		if (old == NULL)
			lot->more[0] = lot->one;
	}
	*lot_entry(lot, lot->n) =
	    (struct entry){ .rcpt = rcpt, .target = target };
	lot->n++;
	lot->left++;
}

void
lot_free(struct lot *lot)
{
	for (uint32_t i = 0; i < lot->n; i++)
		names_drop(lot_entry(lot, i)->target);
	free(lot->more);
	free(lot);
}

/* ---- senders ---- */

static struct sender_queue **
sender_bucket(const struct destination *d, uint32_t sender)
{
	return &sender_buckets[mix((uintptr_t)d, sender) &
			       (sender_bucket_count - 1)];
}

static void
grow_sender_buckets(void)
{
	struct sender_queue **old = sender_buckets;
	uint32_t old_count = sender_bucket_count;
	sender_bucket_count *= 2;
	sender_buckets =
	    must_alloc(sender_bucket_count * sizeof(struct sender_queue *));
	for (uint32_t i = 0; i < old_count; i++) {
		struct sender_queue *next;
		for (struct sender_queue *q = old[i]; q != NULL; q = next) {
			struct sender_queue **b =
			    sender_bucket(q->destination, q->sender);
			next = q->chain;
			q->chain = *b;
			*b = q;
		}
	}
	free(old);
}

/* The sender's queue here; a new one joins the ring as the last in turn, or as
 * the next (first). */
static struct sender_queue *
sender_get(struct destination *d, uint32_t sender, bool first)
{
	struct sender_queue *q = *sender_bucket(d, sender);
	while (q != NULL && (q->destination != d || q->sender != sender))
		q = q->chain;
	if (q != NULL)
		return q;
	if (sender_live >= sender_bucket_count)
		grow_sender_buckets();
	struct sender_queue **b = sender_bucket(d, sender);
	q = must_alloc(sizeof(*q));
	*q = (struct sender_queue){ .destination = d,
		.sender = names_again(sender),
		.ring = q,
		.chain = *b };
	*b = q;
	sender_live++;
	if (d->turn != NULL) {
		q->ring = d->turn->ring;
		d->turn->ring = q;
	}
	if (d->turn == NULL || !first)
		d->turn = q;
	return q;
}

/* Takes the queue that follows d->turn out of the ring and frees it. */
static void
sender_end(struct destination *d)
{
	struct sender_queue *q = d->turn->ring;
	if (q == d->turn)
		d->turn = NULL;
	else
		d->turn->ring = q->ring;
	struct sender_queue **at = sender_bucket(d, q->sender);
	while (*at != q)
		at = &(*at)->chain;
	*at = q->chain;
	names_drop(q->sender);
	free(q);
	sender_live--;
}

void
destination_put(
    struct destination *d, uint32_t message, uint32_t rcpt, uint32_t target)
{
	struct sender_queue *q =
	    sender_get(d, message_at(message)->sender, false);
	struct lot *lot = q->last;
	if (lot == NULL || lot->message != message || lot->n == LOT_MAX) {
		lot = lot_new(message);
		if (q->last == NULL)
			q->first = lot;
		else
			q->last->next = lot;
		q->last = lot;
		d->waiting++;
	}
	lot_add(lot, rcpt, target);
}

struct lot *
destination_peek(struct destination *d)
{
	return d->turn == NULL ? NULL : d->turn->ring->first;
}

struct lot *
destination_take(struct destination *d)
{
	if (d->turn == NULL)
		return NULL;
	struct sender_queue *q = d->turn->ring;
	struct lot *lot = q->first;
	q->first = lot->next;
	if (q->first == NULL)
		sender_end(d);
	else
		d->turn = q;
	lot->next = NULL;
	d->waiting--;
	return lot;
}

void
destination_back(struct destination *d, struct lot *lot)
{
	uint32_t sender = message_at(lot->message)->sender;
	struct sender_queue *q = sender_get(d, sender, true);
	lot->next = q->first;
	q->first = lot;
	if (q->last == NULL)
		q->last = lot;
	d->waiting++;
}

/* Leaves in the lot what is still to be delivered. */
static void
lot_trim(struct lot *lot, bool (*wanted)(uint32_t rcpt))
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < lot->n; i++) {
		struct entry e = *lot_entry(lot, i);
		if (wanted(e.rcpt))
			*lot_entry(lot, kept++) = e;
		else
			names_drop(e.target);
	}
	lot->n = lot->left = kept;
}

/* Trims a sender's lots; those that are empty then are gone. */
static void
queue_trim(struct sender_queue *q, bool (*wanted)(uint32_t rcpt))
{
	struct lot **at = &q->first;
	q->last = NULL;
	while (*at != NULL) {
		struct lot *lot = *at;
		lot_trim(lot, wanted);
		if (lot->n > 0) {
			q->last = lot;
			at = &lot->next;
			continue;
		}
		*at = lot->next;
		lot_free(lot);
		q->destination->waiting--;
	}
}

void
destination_trim(struct destination *d, bool (*wanted)(uint32_t rcpt))
{
	const struct sender_queue *last = d->turn;
	bool more = last != NULL;
	/* once round the ring: every queue goes behind the others, or ends */
	while (more) {
		struct sender_queue *q = d->turn->ring;
		more = q != last;
		queue_trim(q, wanted);
		if (q->first == NULL)
			sender_end(d);
		else
			d->turn = q;
	}
}

/* ---- what is known of the host ---- */

void
destination_success(struct destination *d)
{
	d->failures = 0;
	d->rest_until = 0;
	forget_tried(d);
	if (d->kind == SCHEDULE_REMOTE && d->limit < LIMIT_MAX &&
	    ++d->streak >= d->limit) {
		d->limit++;
		d->streak = 0;
	}
}

void
destination_failure(struct destination *d, int64_t now_ms, struct str text)
{
	d->limit = d->limit > 1 ? d->limit / 2 : 1;
	d->streak = 0;
	d->failures++;
	d->rest_until = now_ms + 1000 * schedule_host_rest(d->failures);
	uint32_t old = d->text;
	d->text = names_take(text);
	names_drop(old);
	forget_tried(d);
}

bool
destination_needs_agent(const struct destination *d)
{
	if (d->waiting == 0 || d->open >= d->limit)
		return false;
	return d->open == 0 || d->waiting > BACKLOG_EXTRA * d->open;
}
