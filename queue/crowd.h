/* SPDX-License-Identifier: ISC
 * crowd: how many of whom are connected to run/queue, and who may come.  A user
 * gets a place while he has fewer than a third of those that are free, so that,
 * whoever has come before, some are left for one who has none.  Root and those
 * who may tell facts (trusted) have places of their own.  Pure.
 */
#ifndef CROWD_H
#define CROWD_H

#include <stdbool.h>
#include <sys/types.h>

enum { CROWD_MAX = 1024, CROWD_SHARE = 3 /* 256 for the first */ };

struct crowd {
	unsigned users, trusted; /* places taken, CROWD_MAX of each */
	unsigned count;		 /* of those who have a place */
	struct {
		uid_t uid;
		unsigned places;
	} of[CROWD_MAX];
};

bool crowd_has_room(const struct crowd *, uid_t uid, bool trusted);
/* A place taken, while there is room; and given back. */
void crowd_enter(struct crowd *, uid_t uid, bool trusted);
void crowd_leave(struct crowd *, uid_t uid, bool trusted);

#endif
