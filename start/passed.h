/* SPDX-License-Identifier: ISC
 * passed: listening sockets that a supervisor has bound (sd_listen_fds(3)):
 * LISTEN_PID, LISTEN_FDS, and LISTEN_FDNAMES, a name for each.  Runs in
 * postern-start, before anything else is opened.
 */
#ifndef PASSED_H
#define PASSED_H

#include <stdbool.h>
#include "common/str.h"

enum { PASSED_MAX = 8 };

/* Moves the sockets out of the way of the descriptors that roles are born with.
 * pid, fds, names: the variables, NULL when not set.  Without them, or when
 * they are another process's, there are none.  Dies (100), saying what to
 * write into the socket unit, when one is no listening TCP socket, or its name
 * is neither smtp nor pop3. */
void passed_take(const char *pid, const char *fds, const char *names);
/* The next socket of that name, -1 when there is none (left); the caller owns
 * it. */
int passed_next(struct str name);
/* True when sockets of that name came with the start. */
bool passed_any(struct str name);

#endif
