/* SPDX-License-Identifier: ISC
 * tellers: contract in tellers.h.
 */
#include "queue/tellers.h"

#include <string.h>

static uid_t own_uid;
static uid_t tellers[TELLERS];

void
tellers_init(uid_t own, const uid_t users[TELLERS])
{
	own_uid = own;
	memcpy(tellers, users, sizeof(tellers));
}

bool
tellers_has(uid_t uid)
{
	for (size_t i = 0; i < TELLERS; i++)
		if (tellers[i] == uid)
			return uid != own_uid;
	return false;
}

bool
tellers_may_tell(uid_t uid)
{
	return uid == 0 || uid == own_uid || tellers_has(uid);
}
