/* SPDX-License-Identifier: ISC
 * places: how many agents may run at a time (concurrencylocal,
 * concurrencyremote), and who gets the next place, so that nobody can take them
 * all.  Part of qmgr; no I/O.
 *
 * Of n places, bulk mail and bounces together get three quarters at most,
 * bounces alone half; one sender three quarters; hosts that failed lately a
 * quarter; users whose deliveries take long three quarters; and a destination
 * that has an agent already gets another only while more than a quarter is
 * free.  The last quarter of the remote places is brief: the newest host in
 * line gets such a place, and must answer soon while others want it, or goes
 * back in line.  The mailbox owner, who serves all virtual users, needs no
 * place.
 */
#ifndef PLACES_H
#define PLACES_H

#include "queue/destination.h"

/* The limit of a channel (at most LIMIT_LOCALS, LIMIT_REMOTES); 0 stops it. */
void places_limit(enum schedule_channel, unsigned limit);
bool places_stopped(enum schedule_channel);
/* May this destination have one more now, for the lot that is next?  When it
 * has none, and may not, it is remembered as starving. */
bool places_free(struct destination *);
/* An agent more: the place's number, for places_give.  A resumed agent takes
 * one even if none is free. */
uint32_t places_take(struct destination *);
/* Is it a brief one?  And: its host has answered, it is one like others now. */
bool places_brief(uint32_t place);
void places_keep(uint32_t place);
/* An agent less of d. */
void places_give(struct destination *, uint32_t place);
/* The starving destination that is next and may have a place now; it is not
 * starving then, and is to be looked at again.  NULL: none.  Call it when a
 * place was given back. */
struct destination *places_next(enum schedule_channel);
/* Does one of at least this rank wait for a place? */
bool places_starving(enum schedule_channel, enum rank);
/* How many of any rank do; and of these, how many have had no brief place. */
unsigned places_starving_count(enum schedule_channel);
unsigned places_starving_fresh(enum schedule_channel);
/* How many connections that no server has answered yet may be kept while
 * others wait. */
unsigned places_patience(enum schedule_channel);
/* Agents, those on their way included. */
unsigned places_taken(enum schedule_channel);

#endif
