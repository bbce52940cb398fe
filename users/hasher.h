/* SPDX-License-Identifier: ISC
 * hasher: userd's side of the hash workers (hashd.h).
 */
#ifndef USERS_HASHER_H
#define USERS_HASHER_H

#include "common/str.h"

/* Starts the workers' keeper.  Before any table is read.  Dies (111). */
void hasher_start(void);
/* Puts the keeper's link under watch: after the sandbox. */
void hasher_watch(void);
bool hasher_idle(void); /* is a worker free? */
/* Has a free worker check password against hash; done(arg, verdict) is called
 * once: K, D, or Z (no memory, or the worker died).  0, or -1: none took it. */
int hasher_check(struct str hash, struct str password,
    void (*done)(void *arg, char verdict), void *arg);
/* Gives up on workers that have been busy for longer than ms: Z. */
void hasher_expire(int64_t ms);
/* A hash that no password has, of the usual cost. */
struct str hasher_dummy(void);
/* Called whenever a worker has become free. */
extern void (*hasher_on_free)(void);

#endif
