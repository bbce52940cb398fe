/* SPDX-License-Identifier: ISC
 * seen: remembers which deliveries a Maildir may already hold, so that its
 * directories are read once and not for every message that comes again.  A
 * Bloom filter: "no" is certain, "maybe" is to be looked up.  Pure.
 */
#ifndef SEND_SEEN_H
#define SEND_SEEN_H

#include "common/str.h"

enum {
	SEEN_WORDS = 16384
}; /* a million bits: 1 in 30 wrong at 100,000 names */

struct seen {
	bool filled; /* the caller's: it has put in all names */
	uint64_t bits[SEEN_WORDS];
};

/* No name is in it, and it is not filled. */
void seen_reset(struct seen *);
/* Puts in a file's name; one that is not of mailname's form is left out. */
void seen_add(struct seen *, struct str name);
/* False: no name with this unique part was put in. */
bool seen_maybe(const struct seen *, struct str unique);

#endif
