/* SPDX-License-Identifier: ISC
 * descendants: all processes below this one, which is a subreaper
 * (PR_SET_CHILD_SUBREAPER): no double fork and no setsid leads away from it.
 */
#ifndef FILTER_DESCENDANTS_H
#define FILTER_DESCENDANTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* How many live ones there are; stops counting at most. */
size_t descendants_count(size_t most);

/* Kills and reaps all of them.  False when some are left after some seconds.
 *
 * What is dead stays unreaped as long as anything lives: it counts for
 * RLIMIT_NPROC, so that a fork bomb runs out of processes instead of outrunning
 * us. */
bool descendants_end(void);

/* Kills the children of this process that are none of `known`. */
void descendants_kill_others(bool (*known)(pid_t));

#endif
