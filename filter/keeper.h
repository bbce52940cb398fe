/* SPDX-License-Identifier: ISC
 * keeper: starts a supervisor (supervise.h) for each message that the role, its
 * parent, hands it.  Outside of the sandbox, because programs are below it,
 *with common/guard.h; it parses fixed small packets, and decides by itself
 *which program is run: the role cannot tell it.
 *
 *	role -> keeper	P u32 slot, u32 timeout in ms, facts, fds: message,
 *			envelope
 *			H	read control/filter again
 *	keeper -> role	X (supervise.h), also for a supervisor that died
 */
#ifndef FILTER_KEEPER_H
#define FILTER_KEEPER_H

#include <sys/types.h>
#include "common/limits.h"

enum { KEEPER_MESSAGES = LIMIT_FILTERS /* at a time */ };

/* Forks it; returns the role's end of the socket.  Dies when it cannot.  Before
 * the sandbox. */
int keeper_start(void);

/* The user of a suite of one user; 0 when posternf is there for the filter. */
uid_t keeper_one_user(void);

#endif
