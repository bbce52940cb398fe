/* SPDX-License-Identifier: ISC
 * places: how many agents may run at a time (concurrencylocal,
 * concurrencyremote), and which destination gets the next place.  Part of qmgr;
 * no I/O.
 */
#ifndef PLACES_H
#define PLACES_H

#include "queue/destination.h"

/* The limit of a channel; 0 stops it. */
void places_limit(enum schedule_channel, unsigned limit);
bool places_stopped(enum schedule_channel);
/* May this destination have one more now?  When it has none, and there is none
 * for it, it is remembered as starving. */
bool places_free(struct destination *);
/* An agent more, an agent less of it; the latter returns the destination that
 * waited longest for a place, if any: it is to be looked at again. */
void places_take(struct destination *);
struct destination *places_give(struct destination *);
/* Does a destination of this kind wait for a place? */
bool places_starving(enum schedule_channel);
/* Agents, those on their way included. */
unsigned places_taken(enum schedule_channel);

#endif
