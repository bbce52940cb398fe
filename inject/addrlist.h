/* SPDX-License-Identifier: ISC
 * addrlist: address lists of header fields and command lines (RFC 5322 3.4,
 * with groups, comments, the obsolete route and empty members of 4.4), read
 * and rewritten so that every address has a full domain.  Pure.
 *
 * Further than the grammar goes what is found everywhere: an unquoted display
 * name with dots or specials in it, and raw 8-bit names, which become encoded
 * words.
 */
#ifndef ADDRLIST_H
#define ADDRLIST_H

#include "common/buf.h"
#include "common/limits.h"
#include "inject/token.h"

/* What completes an address (control files of these names). */
struct addr_defaults {
	struct str host;       /* behind a bare local part */
	struct str domain;     /* behind a host without dots; empty: nothing */
	struct str plusdomain; /* in place of the + of "host+" */
};

enum {
	ADDRLIST_TOKENS = 256, /* of one member, comments and spaces too */
	ADDRLIST_SPEC = 2 * LIMIT_ADDRESS
};

struct addrlist {
	/* set by the caller */
	const struct addr_defaults *defaults;
	struct buf *out; /* the rewritten list; NULL: nobody wants it */
	/* each address in canonical form; NULL: nobody wants them */
	void (*each)(void *arg, struct str canonical);
	void *arg;
	bool allow_null; /* <> is an address, too, the empty one */

	/* set by addrlist_run */
	unsigned mailboxes;  /* addresses found */
	bool empty;	     /* nothing was put out: no member at all */
	const char *problem; /* what is wrong, NULL: nothing */
	struct str at;	     /* where: a view into the list */

	/* its own */
	struct token tokens[ADDRLIST_TOKENS];
	size_t count;
	bool in_group, after_group, in_angle, needs_comma;
};

/* Reads all of the list.  False: problem and at are set; what was put out and
 * told by then is of no use. */
bool addrlist_run(struct addrlist *, struct str list);

#endif
