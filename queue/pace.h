/* SPDX-License-Identifier: ISC
 * pace: keeps the messages for one host at least their interval apart
 * (hostrules.h).  What was sent before qmgr's start is not known: the first
 * message comes an interval after the start at the soonest, so that a restart
 * does not add one.  Part of qmgr; no I/O.
 */
#ifndef PACE_H
#define PACE_H

#include "queue/destination.h"

/* qmgr has begun; ms, as all times here. */
void pace_init(int64_t now_ms);
/* May a message go to d now?  When not, pace_wake tells when it may. */
bool pace_ready(struct destination *, int64_t now_ms);
/* One goes. */
void pace_sent(struct destination *, int64_t now_ms);
/* Calls wake for those that may be given mail again. */
void pace_wake(int64_t now_ms, void (*wake)(struct destination *));
/* Milliseconds until the next of the others may, or -1. */
int64_t pace_wait(int64_t now_ms);

#endif
