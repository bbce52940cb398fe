/* SPDX-License-Identifier: ISC
 * index: contract in index.h.
 */
#include "queue/index.h"

#include <stdlib.h>
#include <string.h>
#include "common/die.h"
#include "queue/names.h"

static struct pool messages = POOL_OF(struct message);
static struct pool rcpts = POOL_OF(struct rcpt);
static struct pool works = POOL_OF(struct work);
static uint32_t *buckets;
static uint32_t bucket_count;
static uint64_t counts[RCPT_STATES][2];
/* where the last recipient was added: the next one is most often its sibling */
static uint32_t tail_message, tail_rcpt;

struct message *
message_at(uint32_t number)
{
	return pool_at(&messages, number);
}

struct rcpt *
rcpt_at(uint32_t number)
{
	return pool_at(&rcpts, number);
}

uint64_t
message_id(const struct message *m)
{
	return (uint64_t)m->id_high << 32 | m->id_low;
}

void
index_init(void)
{
	bucket_count = 1024;
	buckets = must_alloc(bucket_count * sizeof(buckets[0]));
}

/* Ids are made by queued, one after the other: no enemy picks them. */
static uint32_t *
bucket_of(uint64_t id)
{
	return &buckets[(uint32_t)(id * 0x9e3779b97f4a7c15u >> 32) &
			(bucket_count - 1)];
}

uint32_t
index_find(uint64_t id)
{
	uint32_t m = *bucket_of(id);
	while (m != 0 && message_id(message_at(m)) != id)
		m = message_at(m)->chain;
	return m;
}

static void
grow_buckets(void)
{
	free(buckets);
	bucket_count *= 2;
	buckets = must_alloc(bucket_count * sizeof(buckets[0]));
	for (uint32_t i = 1; i < messages.end; i++) {
		if (!message_used(i))
			continue;
		struct message *m = message_at(i);
		uint32_t *b = bucket_of(message_id(m));
		m->chain = *b;
		*b = i;
	}
}

uint32_t
index_add(uint64_t id, uint64_t birth, uint64_t size, struct str sender,
    uint8_t flags)
{
	if (messages.live >= bucket_count)
		grow_buckets();
	uint32_t number = pool_new(&messages);
	struct message *m = message_at(number);
	uint32_t *b = bucket_of(id);
	*m = (struct message){
		.id_high = (uint32_t)(id >> 32),
		.id_low = (uint32_t)id,
		.birth = birth < UINT32_MAX ? (uint32_t)birth : UINT32_MAX,
		.size = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX,
		.sender = names_take(sender),
		.chain = *b,
		.flags = flags,
	};
	*b = number;
	return number;
}

uint32_t
index_add_rcpt(uint32_t message, uint32_t idx, struct str address)
{
	struct message *m = message_at(message);
	if (m->live == RCPTS_MAX)
		return 0;
	uint32_t number = pool_new(&rcpts);
	struct rcpt *r = rcpt_at(number);
	*r = (struct rcpt){ .message = message,
		.name = names_take(address),
		.idx = idx,
		.state = RCPT_NEW };
	uint32_t last = tail_message == message ? tail_rcpt : m->first;
	while (last != 0 && rcpt_at(last)->sibling != 0)
		last = rcpt_at(last)->sibling;
	if (last == 0)
		m->first = number;
	else
		rcpt_at(last)->sibling = number;
	tail_message = message;
	tail_rcpt = number;
	m->live++;
	counts[RCPT_NEW][0]++;
	return number;
}

uint32_t
index_find_rcpt(uint32_t message, uint32_t idx, uint32_t *hint)
{
	uint32_t first = message_at(message)->first;
	uint32_t start = hint != NULL && *hint != 0 ? *hint : first;
	uint32_t found = start;
	while (found != 0 && rcpt_at(found)->idx != idx)
		found = rcpt_at(found)->sibling;
	if (found == 0 && start != first) {
		found = first;
		while (found != start && rcpt_at(found)->idx != idx)
			found = rcpt_at(found)->sibling;
		if (found == start)
			found = 0;
	}
	if (hint != NULL)
		*hint = found == 0 ? 0 : rcpt_at(found)->sibling;
	return found;
}

static bool
is_busy(unsigned state)
{
	return state >= RCPT_ASKING && state <= RCPT_REPLACING;
}

void
rcpt_set(uint32_t rcpt, enum rcpt_state state)
{
	struct rcpt *r = rcpt_at(rcpt);
	struct message *m = message_at(r->message);
	bool remote = (r->flags & RCPT_REMOTE) != 0;
	if (r->state == state || r->state == RCPT_DONE)
		return;
	counts[r->state][remote]--;
	counts[state][remote]++;
	m->busy = (uint16_t)(m->busy + is_busy(state) - is_busy(r->state));
	r->state = (uint8_t)state;
	if (state == RCPT_DONE) {
		names_drop(r->name);
		names_drop(r->text);
		r->name = r->text = 0;
		m->live--;
	}
}

void
rcpt_remote(uint32_t rcpt, bool remote)
{
	struct rcpt *r = rcpt_at(rcpt);
	counts[r->state][(r->flags & RCPT_REMOTE) != 0]--;
	counts[r->state][remote]++;
	r->flags =
	    (uint8_t)((r->flags & ~RCPT_REMOTE) | (remote ? RCPT_REMOTE : 0));
}

void
rcpt_text(uint32_t rcpt, struct str text)
{
	struct rcpt *r = rcpt_at(rcpt);
	uint32_t old = r->text;
	r->text = names_take(text);
	names_drop(old);
}

static void
free_rcpt(uint32_t rcpt)
{
	struct rcpt *r = rcpt_at(rcpt);
	if (tail_rcpt == rcpt)
		tail_message = tail_rcpt = 0;
	counts[RCPT_DONE][(r->flags & RCPT_REMOTE) != 0]--;
	pool_free(&rcpts, rcpt);
}

static void
free_message(uint32_t message)
{
	struct message *m = message_at(message);
	uint32_t *at = bucket_of(message_id(m));
	while (*at != message)
		at = &message_at(*at)->chain;
	*at = m->chain;
	names_drop(m->sender);
	if (m->work != 0)
		message_rest(message);
	if (tail_message == message)
		tail_message = tail_rcpt = 0;
	pool_free(&messages, message);
}

bool
index_sweep(uint32_t message)
{
	struct message *m = message_at(message);
	uint32_t *at = &m->first;
	while (*at != 0) {
		uint32_t rcpt = *at;
		struct rcpt *r = rcpt_at(rcpt);
		if (r->state != RCPT_DONE) {
			at = &r->sibling;
			continue;
		}
		*at = r->sibling;
		free_rcpt(rcpt);
	}
	if (m->first != 0 || (m->flags & MESSAGE_MORE) != 0)
		return true;
	free_message(message);
	return false;
}

struct work *
message_working(uint32_t message)
{
	uint32_t work = message_at(message)->work;
	return work == 0 ? NULL : pool_at(&works, work);
}

struct work *
message_work(uint32_t message)
{
	struct work *w = message_working(message);
	if (w != NULL)
		return w;
	uint32_t number = pool_new(&works);
	message_at(message)->work = number;
	w = pool_at(&works, number);
	w->fd = -1;
	return w;
}

void
message_rest(uint32_t message)
{
	struct message *m = message_at(message);
	struct work *w = message_working(message);
	if (w == NULL)
		return;
	names_drop(w->sid);
	pool_free(&works, m->work);
	m->work = 0;
}

uint32_t
index_message_end(void)
{
	return messages.end;
}

uint32_t
index_rcpt_end(void)
{
	return rcpts.end;
}

/* A free slot is all zero but for its first four bytes (pool_free): a message
 * always has an id with a low half or was born some time. */
bool
message_used(uint32_t message)
{
	const struct message *m = message_at(message);
	return m->id_low != 0 || m->birth != 0;
}

uint64_t
index_count(enum rcpt_state state, bool remote)
{
	return counts[state][remote];
}

uint32_t
index_messages(void)
{
	return messages.live;
}

uint32_t
index_rcpts(void)
{
	return rcpts.live;
}
