/* SPDX-License-Identifier: ISC
 * hops: counts the Received fields of a message (RFC 5321 6.3), fed as LF lines
 * in pieces.  Pure.
 */
#ifndef HOPS_H
#define HOPS_H

#include "common/limits.h"
#include "common/str.h"

/* Zero it to begin. */
struct hops {
	bool in_body;	/* behind the header's empty line */
	size_t column;	/* bytes of this line, so far */
	size_t matched; /* how many of them begin "Received:" */
	unsigned count; /* over LIMIT_RECEIVED: a loop */
};

/* Takes the next bytes; the same result however they are cut. */
void hops_feed(struct hops *, struct str);

#endif
