/* SPDX-License-Identifier: ISC
 * world: what userd knows, for a command that asks the same rules while no
 * suite runs.  Runs as the administrator.
 */
#ifndef USERS_WORLD_H
#define USERS_WORLD_H

#include "users/tables.h"

struct world {
	struct tables *tables;
	struct table *accounts;
	struct str domain; /* of bare names: control/me when it is ours, else
			    * the first of control/locals */
	char domain_room[LIMIT_DOMAIN + 1];
};

/* Kept until the program ends.  0, or the exit code, having said why. */
int world_load(struct world *, int usersdir);

#endif
