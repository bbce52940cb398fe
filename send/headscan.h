/* SPDX-License-Identifier: ISC
 * headscan: finds the Delivered-To fields of a message's header, fed in pieces.
 * Pure.  A field that is folded is not looked into: who writes Delivered-To to
 * stop loops writes it on one line.
 */
#ifndef SEND_HEADSCAN_H
#define SEND_HEADSCAN_H

#include "common/limits.h"
#include "common/str.h"

enum { HEADSCAN_LINE = LIMIT_ADDRESS + 32 };

struct headscan {
	bool ended;    /* the empty line has been seen */
	bool too_long; /* this line is no address: skip it */
	size_t n;      /* of an unfinished line, in: */
	char line[HEADSCAN_LINE];
};

enum headscan_status {
	HEADSCAN_MORE,	/* all of `in` taken, the header goes on */
	HEADSCAN_FOUND, /* *address is one; feed again from *used */
	HEADSCAN_END	/* the header is over; feed no more */
};

/* Start with a zeroed struct.  *address is a view into in or the struct, valid
 * until the next call.  *used is set always. */
enum headscan_status headscan_feed(
    struct headscan *, struct str in, struct str *address, size_t *used);

#endif
