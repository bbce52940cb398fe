/* SPDX-License-Identifier: ISC
 * pending: see pending.h.
 */
#include "send/pending.h"

#include <stdlib.h>
#include "common/clock.h"
#include "common/io.h"
#include "common/limits.h"

enum {
	REQUESTS_MAX = LIMIT_REMOTES + 24, /* below 1 << SLOT_BITS */
	SLOT_BITS = 12,
	QUESTION_BITS = 6 /* walk's question numbers: under 1 + 2 * 16 */
};

static struct request *requests[REQUESTS_MAX]; /* made when first needed */
static size_t slots_made, request_count;
static int64_t next_deadline = INT64_MAX; /* no state ends before this */

struct request *
pending_new(void)
{
	static size_t next;

	for (size_t i = 0; i < slots_made; i++) {
		struct request *r = requests[next++ % slots_made];

		if (r->state == REQUEST_FREE)
			return r;
	}
	if (slots_made == REQUESTS_MAX)
		return NULL;
	struct request *r = calloc(1, sizeof(*r));
	if (r != NULL) {
		r->watch.fd = -1;
		r->slot = (uint32_t)slots_made;
		requests[slots_made++] = r;
	}
	return r;
}

void
pending_begin(struct request *r, enum request_state state, int64_t ms)
{
	r->state = state;
	r->last_deadline = clock_mono_ms() + ms;
	request_count++;
}

void
pending_deadline(struct request *r, int64_t ms)
{
	r->deadline = clock_mono_ms() + ms;
	if (r->deadline > r->last_deadline)
		r->deadline = r->last_deadline;
	if (r->deadline < next_deadline)
		next_deadline = r->deadline;
}

void
pending_close(struct request *r)
{
	loop_remove(&r->watch);
	io_close(&r->watch.fd);
}

void
pending_free(struct request *r)
{
	pending_close(r);
	r->state = REQUEST_FREE;
	r->generation++;
	request_count--;
}

/* ---- finding ---- */

uint32_t
pending_question(const struct request *r, uint32_t number)
{
	return r->generation << (SLOT_BITS + QUESTION_BITS) |
	       r->slot << QUESTION_BITS | number;
}

struct request *
pending_asked(uint32_t question, uint32_t *number)
{
	size_t slot = (question >> QUESTION_BITS) & ((1U << SLOT_BITS) - 1);

	*number = question & ((1U << QUESTION_BITS) - 1);
	if (slot >= slots_made)
		return NULL;
	struct request *r = requests[slot];
	bool waits =
	    r->state == REQUEST_DNS && question == pending_question(r, *number);
	return waits ? r : NULL; /* late: that request is over */
}

struct request *
pending_find(uint64_t key)
{
	for (size_t i = 0; i < slots_made; i++) {
		struct request *r = requests[i];

		if (r->key == key &&
		    (r->state == REQUEST_DNS || r->state == REQUEST_CONNECT))
			return r;
	}
	return NULL;
}

void
pending_each(void (*act)(struct request *))
{
	for (size_t i = 0; i < slots_made; i++)
		if (requests[i]->state != REQUEST_FREE)
			act(requests[i]);
}

void
pending_each_in(enum request_state state, void (*act)(struct request *))
{
	for (size_t i = 0; i < slots_made && request_count > 0; i++)
		if (requests[i]->state == state)
			act(requests[i]);
}

int
pending_time(void (*over)(struct request *))
{
	int64_t now = clock_mono_ms();

	if (request_count == 0)
		return -1;
	if (now >= next_deadline) {
		next_deadline = INT64_MAX;
		for (size_t i = 0; i < slots_made; i++) {
			struct request *r = requests[i];

			if (r->state != REQUEST_FREE && r->deadline <= now)
				over(r);
			if (r->state != REQUEST_FREE &&
			    r->deadline < next_deadline)
				next_deadline = r->deadline;
		}
	}
	if (next_deadline == INT64_MAX)
		return -1;
	return next_deadline > now ? (int)(next_deadline - now) : 0;
}
