/* SPDX-License-Identifier: ISC
 * due: contract in due.h.  A binary heap; each recipient knows its place.
 */
#include "queue/due.h"

#include "common/die.h"
#include "queue/index.h"

static uint32_t *heap; /* from 0 */
static uint32_t count, room;

static uint32_t
tick_at(uint32_t place)
{
	return rcpt_at(heap[place])->due;
}

static void
put_at(uint32_t place, uint32_t rcpt)
{
	heap[place] = rcpt;
	rcpt_at(rcpt)->link = place;
}

static void
sift_up(uint32_t place, uint32_t rcpt)
{
	uint32_t tick = rcpt_at(rcpt)->due;
	while (place > 0 && tick_at((place - 1) / 2) > tick) {
		put_at(place, heap[(place - 1) / 2]);
		place = (place - 1) / 2;
	}
	put_at(place, rcpt);
}

static void
sift_down(uint32_t place, uint32_t rcpt)
{
	uint32_t tick = rcpt_at(rcpt)->due;
	for (;;) {
		uint32_t child = 2 * place + 1;
		if (child >= count)
			break;
		if (child + 1 < count && tick_at(child + 1) < tick_at(child))
			child++;
		if (tick_at(child) >= tick)
			break;
		put_at(place, heap[child]);
		place = child;
	}
	put_at(place, rcpt);
}

void
due_put(uint32_t rcpt, uint32_t tick)
{
	if (count == room) {
		room = room == 0 ? 1024 : room + room / 2;
		heap = must_grow(heap, room, sizeof(heap[0]));
	}
	rcpt_at(rcpt)->due = tick;
	sift_up(count++, rcpt);
}

void
due_remove(uint32_t rcpt)
{
	uint32_t place = rcpt_at(rcpt)->link;
	if (place >= count || heap[place] != rcpt)
		bug("due_remove of a recipient that is not in the heap");
	uint32_t last = heap[--count];
	if (place == count)
		return;
	if (place > 0 && tick_at((place - 1) / 2) > rcpt_at(last)->due)
		sift_up(place, last);
	else
		sift_down(place, last);
}

uint32_t
due_first(void)
{
	return count == 0 ? 0 : heap[0];
}
