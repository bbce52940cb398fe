/* SPDX-License-Identifier: ISC
 * working: what a message has only while something is done with it: its body's
 * descriptor, failures that wait to be bounced together.  Contract in
 * delivery.h and outcome.h.
 */
#include <string.h>
#include <unistd.h>
#include "common/clock.h"
#include "queue/bounces.h"
#include "queue/outcome.h"

enum { GROUP_MS = 10000 }; /* a bounce waits so long for the other results */

static uint32_t body_limit, bodies;

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
	    w->holds == 0 && w->failed == 0 && (m->flags & MESSAGE_MORE) == 0) {
		body_close(w);
		message_rest(message);
	}
	if (m->work == 0)
		(void)index_sweep(message);
}

void
delivery_group(uint32_t message, int64_t now)
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
