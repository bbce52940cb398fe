/* SPDX-License-Identifier: ISC
 * loop: the epoll loop of every resident role.  One per process.
 */
#ifndef LOOP_H
#define LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/* One descriptor under watch; lives in the caller's storage and must not move
 * or go while it is added.  ready() may remove any watch, its own too. */
struct watch {
	int fd;
	uint32_t events; /* EPOLLIN, EPOLLOUT; set by loop_add, loop_change */
	void (*ready)(struct watch *, uint32_t events);
	void *arg; /* the owner's */
};

/* Makes the epoll descriptor.  Before sandbox_enter.  Dies when it cannot. */
void loop_init(void);
/* 0, or -1 with errno (ENOSPC, ENOMEM). */
int loop_add(struct watch *, uint32_t events);
/* Changes what is waited for; no system call when it is the same. */
void loop_change(struct watch *, uint32_t events);
/* Waits for nothing at w for so long, and then for what loop_change says, or
 * said before.  One watch at a time. */
void loop_rest(struct watch *, int ms);
/* Forgets the watch; safe when it was never added (fd is not closed). */
void loop_remove(struct watch *);
/* Serves until loop_stop.  before_wait (may be NULL) runs before each wait and
 * returns the longest wait in ms, or -1 for no bound. */
void loop_run(int (*before_wait)(void));
void loop_stop(void);
/* The shorter of two waits in ms; -1 is no bound. */
int64_t loop_sooner(int64_t a, int64_t b);

#endif
