/* SPDX-License-Identifier: ISC
 * door: a resident role's listening local socket in the event loop.
 */
#ifndef DOOR_H
#define DOOR_H

#include <sys/types.h>
#include "common/loop.h"

/* Watches w's fd, which start has made non-blocking.  Dies when it cannot;
 * `name` says which socket. */
void door_open(struct watch *w, const char *name);
/* The next one at the door: a descriptor (non-blocking, close-on-exec) and
 * whose process connected.  -1: nobody now.  Without descriptors or memory
 * (logged) the door rests for a second, for a try at once would only spin. */
int door_accept(struct watch *, uid_t *);

#endif
