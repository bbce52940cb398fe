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
	uint32_t sender; /* a name; the messages here use it */
	enum rank rank;
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
		.rule = { .connections = HOSTRULE_CONNECTIONS },
		.chain = *b };
	*b = d;
	live++;
	return d;
}

void
destination_rule(struct destination *d, struct hostrule rule)
{
	d->rule = rule;
	d->ruled = true;
	if (d->limit > rule.connections)
		d->limit = rule.connections;
}

static bool
is_idle(const struct destination *d, int64_t now_ms)
{
	return d->waiting == 0 && d->open == 0 && d->agents == NULL &&
	       !d->dirty && !d->starving && d->rest_until <= now_ms &&
	       d->slow_until <= now_ms && !d->pacing &&
	       d->next_us <= now_ms * 1000;
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

/* ---- senders ---- */

static struct sender_queue **
sender_bucket(const struct destination *d, uint32_t sender, enum rank rank)
{
	uint64_t key = (uint64_t)sender * RANKS + rank;
	return &sender_buckets[mix((uintptr_t)d, key) &
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
			    sender_bucket(q->destination, q->sender, q->rank);
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
sender_get(struct destination *d, uint32_t sender, enum rank rank, bool first)
{
	struct sender_queue *q = *sender_bucket(d, sender, rank);
	while (q != NULL &&
	       (q->destination != d || q->sender != sender || q->rank != rank))
		q = q->chain;
	if (q != NULL)
		return q;
	if (sender_live >= sender_bucket_count)
		grow_sender_buckets();
	struct sender_queue **b = sender_bucket(d, sender, rank);
	struct sender_queue **turn = &d->turn[rank];
	q = must_alloc(sizeof(*q));
	*q = (struct sender_queue){ .destination = d,
		.sender = sender,
		.rank = rank,
		.ring = q,
		.chain = *b };
	*b = q;
	sender_live++;
	if (*turn != NULL) {
		q->ring = (*turn)->ring;
		(*turn)->ring = q;
	}
	if (*turn == NULL || !first)
		*turn = q;
	return q;
}

/* Takes the queue that follows d->turn out of the ring and frees it. */
static void
sender_end(struct destination *d, enum rank rank)
{
	struct sender_queue **turn = &d->turn[rank];
	struct sender_queue *q = (*turn)->ring;
	if (q == *turn)
		*turn = NULL;
	else
		(*turn)->ring = q->ring;
	struct sender_queue **at = sender_bucket(d, q->sender, rank);
	while (*at != q)
		at = &(*at)->chain;
	*at = q->chain;
	free(q);
	sender_live--;
}

static void
count_waiting(struct destination *d, enum rank rank, int change)
{
	d->waiting += (uint32_t)change;
	d->waiting_of[rank] += (uint32_t)change;
}

void
destination_put(
    struct destination *d, uint32_t message, uint32_t rcpt, uint32_t target)
{
	enum rank rank = rank_of(message);
	struct sender_queue *q =
	    sender_get(d, message_at(message)->sender, rank, false);
	struct lot *lot = q->last;
	if (lot == NULL || lot->message != message || lot->n == LOT_MAX) {
		lot = lot_new(message);
		if (q->last == NULL)
			q->first = lot;
		else
			q->last->next = lot;
		q->last = lot;
		count_waiting(d, rank, 1);
	}
	lot_add(lot, rcpt, target);
}

enum rank
destination_rank(const struct destination *d)
{
	enum rank rank = RANK_NORMAL;
	while (rank < RANK_BOUNCE && d->waiting_of[rank] == 0)
		rank++;
	return rank;
}

/* The best rank; but of 8 turns one is for bulk mail when there is any, and of
 * 32 one for bounces. */
static enum rank
next_rank(const struct destination *d)
{
	if (d->turns % 32 == 31 && d->waiting_of[RANK_BOUNCE] > 0)
		return RANK_BOUNCE;
	if (d->turns % 8 == 7 && d->waiting_of[RANK_BULK] > 0)
		return RANK_BULK;
	return destination_rank(d);
}

struct lot *
destination_peek(struct destination *d)
{
	const struct sender_queue *turn = d->turn[next_rank(d)];
	return turn == NULL ? NULL : turn->ring->first;
}

struct lot *
destination_take(struct destination *d)
{
	enum rank rank = next_rank(d);
	struct sender_queue **turn = &d->turn[rank];
	if (*turn == NULL)
		return NULL;
	struct sender_queue *q = (*turn)->ring;
	struct lot *lot = q->first;
	q->first = lot->next;
	if (q->first == NULL)
		sender_end(d, rank);
	else
		*turn = q;
	lot->next = NULL;
	d->turns++;
	count_waiting(d, rank, -1);
	return lot;
}

void
destination_back(struct destination *d, struct lot *lot)
{
	uint32_t sender = message_at(lot->message)->sender;
	struct sender_queue *q = sender_get(d, sender, lot->rank, true);
	lot->next = q->first;
	q->first = lot;
	if (q->last == NULL)
		q->last = lot;
	count_waiting(d, lot->rank, 1);
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
		count_waiting(q->destination, q->rank, -1);
	}
}

static void
rank_trim(struct destination *d, enum rank rank, bool (*wanted)(uint32_t rcpt))
{
	const struct sender_queue *last = d->turn[rank];
	bool more = last != NULL;
	/* once round the ring: every queue goes behind the others, or ends */
	while (more) {
		struct sender_queue *q = d->turn[rank]->ring;
		more = q != last;
		queue_trim(q, wanted);
		if (q->first == NULL)
			sender_end(d, rank);
		else
			d->turn[rank] = q;
	}
}

void
destination_trim(struct destination *d, bool (*wanted)(uint32_t rcpt))
{
	for (enum rank rank = RANK_NORMAL; rank < RANKS; rank++)
		rank_trim(d, rank, wanted);
}

/* ---- what is known of the host ---- */

void
destination_success(struct destination *d)
{
	d->failures = d->setbacks = 0;
	d->rest_until = 0;
	d->glimpsed = false;
	forget_tried(d);
	if (d->kind == SCHEDULE_REMOTE && d->limit < d->rule.connections &&
	    ++d->streak >= d->limit) {
		d->limit++;
		d->streak = 0;
	}
}

void
destination_deferred(struct destination *d)
{
	d->streak = 0;
	if (d->kind == SCHEDULE_REMOTE && d->limit > 1 &&
	    ++d->setbacks >= d->limit) {
		d->limit--;
		d->setbacks = 0;
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
	if (d->open == 0 || d->waiting > BACKLOG_EXTRA * d->open)
		return true;
	/* mail that is to go first does not wait behind the other kinds */
	uint32_t lower = d->flying_of[RANK_BULK] + d->flying_of[RANK_BOUNCE];
	return d->kind == SCHEDULE_REMOTE && d->connecting == 0 &&
	       d->waiting_of[RANK_NORMAL] > 0 && lower >= d->open;
}
