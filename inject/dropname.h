/* SPDX-License-Identifier: ISC
 * dropname: the names of files in the drop box: "UID.SLOT" of a whole message,
 * "UID.SLOT.tmp" of one that is being written.  A user has as many slots as
 * messages there: that is the quota, without a list that anybody keeps.  Pure.
 */
#ifndef DROPNAME_H
#define DROPNAME_H

#include "common/buf.h"

enum {
	DROPNAME_SLOTS = 100000, /* the most that dropmessages may say */
	DROPNAME_ROOM = 32	 /* for a name and its NUL */
};

struct dropname {
	uint32_t uid, slot;
	bool tmp;
};

/* Puts the name, ended by a NUL that is not counted. */
const char *dropname_put(struct buf *, const struct dropname *);
/* False: no such name. */
bool dropname_parse(struct str, struct dropname *);

#endif
