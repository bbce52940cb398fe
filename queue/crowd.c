/* SPDX-License-Identifier: ISC
 * crowd: contract in crowd.h.
 */
#include "queue/crowd.h"

/* Where the user stands, or would. */
static unsigned
find(const struct crowd *c, uid_t uid)
{
	unsigned i = 0;

	while (i < c->count && c->of[i].uid != uid)
		i++;
	return i;
}

bool
crowd_has_room(const struct crowd *c, uid_t uid, bool trusted)
{
	unsigned i = find(c, uid);

	if (trusted)
		return c->trusted < CROWD_MAX;
	return (i < c->count ? c->of[i].places : 0) <
	       (CROWD_MAX - c->users) / CROWD_SHARE;
}

void
crowd_enter(struct crowd *c, uid_t uid, bool trusted)
{
	unsigned i = find(c, uid);

	if (trusted) {
		c->trusted++;
		return;
	}
	if (i == c->count) {
		c->of[i].uid = uid;
		c->of[i].places = 0;
		c->count++;
	}
	c->of[i].places++;
	c->users++;
}

void
crowd_leave(struct crowd *c, uid_t uid, bool trusted)
{
	unsigned i = find(c, uid);

	if (trusted) {
		c->trusted--;
		return;
	}
	c->users--;
	if (--c->of[i].places == 0)
		c->of[i] = c->of[--c->count];
}
