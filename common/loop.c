/* SPDX-License-Identifier: ISC
 * loop: contract in loop.h.
 */
#include "common/loop.h"

#include <errno.h>
#include <stddef.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/die.h"
#include "common/log.h"

enum { BATCH = 128 };

static int epoll_fd = -1;
static bool stopping;
static struct epoll_event ready[BATCH];
static int ready_count;
static struct {
	struct watch *watch; /* NULL: none rests */
	uint32_t events;     /* to be waited for afterwards */
	int64_t until_ms;
} resting;

void
loop_init(void)
{
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		die(EXITCODE_TEMPORARY, "epoll_create1", errno);
	stopping = false;
}

int
loop_add(struct watch *w, uint32_t events)
{
	struct epoll_event e = { .events = events, .data = { .ptr = w } };
	w->events = events;
	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, w->fd, &e);
}

void
loop_change(struct watch *w, uint32_t events)
{
	if (w == resting.watch) {
		resting.events = events;
		return;
	}
	if (w->events == events)
		return;
	struct epoll_event e = { .events = events, .data = { .ptr = w } };
	w->events = events;
	if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, w->fd, &e) < 0)
		bug("loop_change of a watch that is not added");
}

void
loop_rest(struct watch *w, int ms)
{
	if (resting.watch != NULL)
		bug("two watches that rest");
	resting.events = w->events;
	loop_change(w, 0);
	resting.watch = w;
	resting.until_ms = clock_mono_ms() + ms;
}

/* ms until a rest ends; -1: there is none (any more). */
static int64_t
rest_left(void)
{
	struct watch *w = resting.watch;
	if (w == NULL)
		return -1;
	int64_t left = resting.until_ms - clock_mono_ms();
	if (left > 0)
		return left;
	resting.watch = NULL;
	loop_change(w, resting.events);
	return -1;
}

void
loop_remove(struct watch *w)
{
	if (w == resting.watch)
		resting.watch = NULL;
	/* ENOENT and EBADF: never added, or closed already */
	if (w->fd >= 0)
		(void)epoll_ctl(epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
	for (int i = 0; i < ready_count; i++)
		if (ready[i].data.ptr == w)
			ready[i].data.ptr = NULL;
}

void
loop_stop(void)
{
	stopping = true;
}

void
loop_run(int (*before_wait)(void))
{
	while (!stopping) {
		int timeout = before_wait == NULL ? -1 : before_wait();
		log_flush();
		if (stopping)
			break;
		timeout = (int)loop_sooner(timeout, rest_left());
		ready_count = epoll_wait(epoll_fd, ready, BATCH, timeout);
		if (ready_count < 0 && errno != EINTR)
			die(EXITCODE_TEMPORARY, "epoll_wait", errno);
		for (int i = 0; i < ready_count; i++) {
			struct watch *w = ready[i].data.ptr;
			if (w != NULL)
				w->ready(w, ready[i].events);
		}
		ready_count = 0;
	}
}

int64_t
loop_sooner(int64_t a, int64_t b)
{
	if (a < 0 || b < 0)
		return a < 0 ? b : a;
	return a < b ? a : b;
}
