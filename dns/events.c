/* SPDX-License-Identifier: ISC
 * events: see events.h.  The interface is that of unbound-event.h, the meaning
 * libevent's: an event fires once unless it persists, and its timeout starts
 * again with each add.
 */
#include "dns/events.h"

#include <stdlib.h>
#include <sys/time.h>
#include <unbound-event.h>
#include "common/clock.h"

enum { TIMERS_MAX = 64 * 1024, NOT_TIMED = -1 };

struct event {
	struct ub_event face; /* first: libunbound's view of it */
	struct watch watch;
	short bits; /* UB_EV_* */
	bool added;
	void (*call)(int, short, void *);
	void *arg;
	int64_t due, period; /* ms */
	int place;	     /* in timers[], or NOT_TIMED */
};

/* ---- timers: a binary heap, the next one first ---- */

static struct event **timers;
static int timer_count, timer_room;

static void
put_at(struct event *e, int place)
{
	timers[place] = e;
	e->place = place;
}

static void
sift_up(struct event *e, int place)
{
	while (place > 0 && timers[(place - 1) / 2]->due > e->due) {
		put_at(timers[(place - 1) / 2], place);
		place = (place - 1) / 2;
	}
	put_at(e, place);
}

static void
sift_down(struct event *e, int place)
{
	for (;;) {
		int child = place * 2 + 1;

		if (child + 1 < timer_count &&
		    timers[child + 1]->due < timers[child]->due)
			child++;
		if (child >= timer_count || timers[child]->due >= e->due)
			break;
		put_at(timers[child], place);
		place = child;
	}
	put_at(e, place);
}

static void
timer_stop(struct event *e)
{
	int place = e->place;

	if (place == NOT_TIMED)
		return;
	e->place = NOT_TIMED;
	struct event *last = timers[--timer_count];
	if (last == e)
		return;
	sift_up(last, place);
	sift_down(last, last->place);
}

static bool
timers_grow(void)
{
	int room = timer_room == 0 ? 256 : timer_room * 2;

	if (timer_count < timer_room)
		return true;
	if (room > TIMERS_MAX)
		return false;
	struct event **more =
	    reallocarray(timers, (size_t)room, sizeof(struct event *));
	if (more == NULL)
		return false;
	timers = more;
	timer_room = room;
	return true;
}

static int
timer_start(struct event *e, const struct timeval *tv)
{
	timer_stop(e);
	if (!timers_grow())
		return -1;
	/* rounded up: a timer never fires early */
	e->period = (int64_t)tv->tv_sec * 1000 + (tv->tv_usec + 999) / 1000;
	e->due = clock_mono_ms() + e->period;
	sift_up(e, timer_count++);
	return 0;
}

int
events_run_timers(void)
{
	int64_t now = clock_mono_ms();

	while (timer_count > 0 && timers[0]->due <= now) {
		struct event *e = timers[0];

		timer_stop(e);
		if ((e->bits & UB_EV_PERSIST) == 0) {
			loop_remove(&e->watch);
			e->added = false;
		} else {
			e->due = now + (e->period > 0 ? e->period : 1);
			sift_up(e, timer_count++);
		}
		e->call(e->watch.fd, UB_EV_TIMEOUT, e->arg);
	}
	if (timer_count == 0)
		return -1;
	int64_t left = timers[0]->due - clock_mono_ms();
	return left < 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

/* ---- events ---- */

static struct event *
event_of(struct ub_event *face)
{
	return (struct event *)(void *)face;
}

static void
on_ready(struct watch *w, uint32_t events)
{
	struct event *e = w->arg;
	short bits = 0;

	/* an error is found by the read or write that follows */
	if ((events & ~(uint32_t)EPOLLOUT) != 0)
		bits |= UB_EV_READ;
	if ((events & ~(uint32_t)EPOLLIN) != 0)
		bits |= UB_EV_WRITE;
	bits &= e->bits;
	if (bits == 0)
		bits = e->bits & (UB_EV_READ | UB_EV_WRITE);
	if ((e->bits & UB_EV_PERSIST) == 0) {
		timer_stop(e);
		loop_remove(&e->watch);
		e->added = false;
	} else if (e->place != NOT_TIMED) {
		timer_stop(e);
		e->due = clock_mono_ms() + e->period;
		sift_up(e, timer_count++);
	}
	e->call(w->fd, bits, e->arg);
}

static int
event_del(struct ub_event *face)
{
	struct event *e = event_of(face);

	timer_stop(e);
	if (e->added)
		loop_remove(&e->watch);
	e->added = false;
	return 0;
}

static int
event_add(struct ub_event *face, struct timeval *tv)
{
	struct event *e = event_of(face);
	uint32_t wanted = 0;

	if ((e->bits & UB_EV_READ) != 0)
		wanted |= EPOLLIN;
	if ((e->bits & UB_EV_WRITE) != 0)
		wanted |= EPOLLOUT;
	if (wanted != 0 && e->watch.fd >= 0 && !e->added) {
		if (loop_add(&e->watch, wanted) < 0)
			return -1;
		e->added = true;
	} else if (e->added) {
		loop_change(&e->watch, wanted);
	}
	return tv == NULL ? 0 : timer_start(e, tv);
}

static void
event_add_bits(struct ub_event *face, short bits)
{
	event_del(face);
	event_of(face)->bits |= bits;
}

static void
event_del_bits(struct ub_event *face, short bits)
{
	event_del(face);
	event_of(face)->bits &= (short)~bits;
}

static void
event_set_fd(struct ub_event *face, int fd)
{
	event_del(face);
	event_of(face)->watch.fd = fd;
}

static void
event_free(struct ub_event *face)
{
	event_del(face);
	free(event_of(face));
}

static int
event_add_timer(struct ub_event *face, struct ub_event_base *base,
    void (*call)(int, short, void *), void *arg, struct timeval *tv)
{
	struct event *e = event_of(face);

	(void)base;
	event_del(face);
	e->watch.fd = -1;
	e->bits = UB_EV_TIMEOUT;
	e->call = call;
	e->arg = arg;
	return timer_start(e, tv);
}

static int
refuse_signal_add(struct ub_event *face, struct timeval *tv)
{
	(void)face;
	(void)tv;
	return -1;
}

static int
refuse_signal_del(struct ub_event *face)
{
	(void)face;
	return -1;
}

static void
ignore_wsa(struct ub_event *face)
{
	(void)face;
}

static void
ignore_wouldblock(struct ub_event *face, int bits)
{
	(void)face;
	(void)bits;
}

static struct ub_event_vmt event_table = {
	.add_bits = event_add_bits,
	.del_bits = event_del_bits,
	.set_fd = event_set_fd,
	.free = event_free,
	.add = event_add,
	.del = event_del,
	.add_timer = event_add_timer,
	.del_timer = event_del,
	.add_signal = refuse_signal_add,
	.del_signal = refuse_signal_del,
	.winsock_unregister_wsaevent = ignore_wsa,
	.winsock_tcp_wouldblock = ignore_wouldblock,
};

/* ---- the base ---- */

static struct ub_event *
base_new_event(struct ub_event_base *base, int fd, short bits,
    void (*call)(int, short, void *), void *arg)
{
	struct event *e = calloc(1, sizeof(*e));

	(void)base;
	if (e == NULL)
		return NULL;
	e->face.magic = UB_EVENT_MAGIC;
	e->face.vmt = &event_table;
	e->watch = (struct watch){ .fd = fd, .ready = on_ready, .arg = e };
	e->bits = bits;
	e->call = call;
	e->arg = arg;
	e->place = NOT_TIMED;
	return &e->face;
}

static void
base_free(struct ub_event_base *base)
{
	(void)base;
}

static int
base_dispatch(struct ub_event_base *base)
{
	(void)base;
	return -1;
}

static int
base_loopexit(struct ub_event_base *base, struct timeval *tv)
{
	(void)base;
	(void)tv;
	return 0; /* called when a worker ends: the loop goes on */
}

static struct ub_event *
base_no_signal(struct ub_event_base *base, int fd,
    void (*call)(int, short, void *), void *arg)
{
	(void)base;
	(void)fd;
	(void)call;
	(void)arg;
	return NULL;
}

static struct ub_event *
base_no_wsa(struct ub_event_base *base, void *wsa,
    void (*call)(int, short, void *), void *arg)
{
	(void)base;
	(void)wsa;
	(void)call;
	(void)arg;
	return NULL;
}

struct ub_event_base *
events_base(void)
{
	static struct ub_event_base_vmt table = {
		.free = base_free,
		.dispatch = base_dispatch,
		.loopexit = base_loopexit,
		.new_event = base_new_event,
		.new_signal = base_no_signal,
		.winsock_register_wsaevent = base_no_wsa,
	};
	static struct ub_event_base base = { .magic = UB_EVENT_MAGIC,
		.vmt = &table };

	return &base;
}
