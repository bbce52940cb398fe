/* SPDX-License-Identifier: ISC
 * admit: postern-listen's settings, and the sessions that it has let in.
 */
#ifndef ADMIT_H
#define ADMIT_H

#include "common/ip.h"

/* Reads the limits and control/relayclients, all or nothing.  0; -1: what was
 * wrong is logged, and the old settings stay. */
int admit_configure(int control_dirfd, bool is_smtp);
/* Room for sessions.  Once, after admit_configure and loop_init.  Dies. */
void admit_init(void);
/* True when mail goes to the filter, not to queued: control/filter names one.
 */
bool admit_filters(void);
/* True when this client may send to anywhere. */
bool admit_relays(const struct ip *);
/* Counts a session from ip.  NULL, or which limit forbids it (for the log). */
const char *admit_take(const struct ip *);
/* Undoes admit_take. */
void admit_give_back(const struct ip *);
/* The session that admit_take counted has begun; its life is a pipe, of which
 * life_fd is the read end.  True: admit owns life_fd, and gives the session
 * back when the pipe's write end is closed everywhere.  False with errno. */
bool admit_begun(const struct ip *, int life_fd);

#endif
