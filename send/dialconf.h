/* SPDX-License-Identifier: ISC
 * dialconf: what postern-dial is told: routes, networks never connected to, its
 * own names and addresses.
 */
#ifndef DIALCONF_H
#define DIALCONF_H

#include "send/walk.h"

struct dialconf;

/* Reads the control files.  NULL when one is wrong (logged) or memory is out.
 */
struct dialconf *dialconf_load(int control_dirfd);
void dialconf_free(struct dialconf *); /* NULL is fine */
/* This host's addresses, from the kernel; they stay for the process's life
 * (the sandbox has no way to ask again).  0, or -1 with errno. */
int dialconf_own_addresses(void);
const struct walk_world *dialconf_world(const struct dialconf *);
int64_t dialconf_connect_ms(const struct dialconf *);

#endif
