/* SPDX-License-Identifier: ISC
 * mxlist: the MX records of dnsd's answer, by preference, equal ones shuffled
 * (RFC 5321 5.1).  Pure.
 */
#ifndef MXLIST_H
#define MXLIST_H

#include "common/limits.h"
#include "common/packet.h"

enum { MXLIST_MAX = 64 }; /* records in an answer of dnsd */

struct mx {
	uint32_t preference;
	uint64_t order;	 /* random among equal preferences */
	struct str host; /* a view into the packet */
};

enum mxlist_status {
	MXLIST_OK,   /* *n may be 0 */
	MXLIST_NULL, /* a null MX and nothing else (RFC 7505) */
	MXLIST_BAD   /* malformed */
};

/* Reads the rest of an answer: a count and the records.  mxs has room for
 * MXLIST_MAX.  *random is a generator's state, never 0. */
enum mxlist_status mxlist_take(
    struct packet *, uint64_t *random, struct mx *mxs, size_t *n);

#endif
