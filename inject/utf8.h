/* SPDX-License-Identifier: ISC
 * utf8: is a text UTF-8 (RFC 3629)?  Pure.
 */
#ifndef UTF8_H
#define UTF8_H

#include "common/str.h"

/* Zero it to begin. */
struct utf8 {
	uint8_t left;	/* bytes that the character still wants */
	uint8_t lo, hi; /* what the next of them may be */
	bool eight_bit; /* a byte over 0x7f was there */
	bool bad;	/* no UTF-8 */
};

/* Takes the next bytes, cut anywhere. */
void utf8_feed(struct utf8 *, struct str);
/* True when all that was fed is whole characters of UTF-8. */
bool utf8_good(const struct utf8 *);
/* The same, of one text. */
bool utf8_is(struct str);
/* The name of the charset in which a text may be declared (RFC 1428 for what
 * is no UTF-8). */
const char *utf8_charset(bool eight_bit, bool good);

#endif
