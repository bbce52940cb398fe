/* SPDX-License-Identifier: ISC
 * messdir: the directories mess/ab of the spool, and the names in them.  dirfd
 * is the spool's.  Each int: 0 or an errno.
 */
#ifndef MESSDIR_H
#define MESSDIR_H

#include "queue/mess.h"

/* The directory of a message's file: "mess/ab". */
void messdir_name(uint64_t id, char out[MESS_NAME]);
/* Makes what is in a directory durable. */
int messdir_sync(int dirfd, const char *name);
/* The same for that of id, if it is there. */
int messdir_sync_of(int dirfd, uint64_t id);
/* Gives a file its message's name.  The directory is made when it is missing,
 * and is durable then, whoever made it; the name is not yet. */
int messdir_enter(int dirfd, const char *tmp, uint64_t id);

#endif
