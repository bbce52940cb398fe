/* SPDX-License-Identifier: ISC
 * address: mailboxes of RFC 5321 4.1.2 and 4.1.3, parsed and written.  Pure.
 *
 * Between roles an address travels in its canonical form: local-part@domain,
 * local part quoted only where it must be, domain in lower case (a literal as
 * [1.2.3.4] or [IPv6:...]); the null path is the empty string.
 */
#ifndef ADDRESS_H
#define ADDRESS_H

#include "common/buf.h"

enum address_status {
	ADDRESS_OK,
	ADDRESS_SYNTAX,	 /* 501 5.1.3 / 5.1.7 */
	ADDRESS_TOO_LONG /* a part over RFC 5321 4.5.3.1: 501 5.1.3 */
};

struct address {
	struct str local;  /* as written, quotes included */
	struct str domain; /* as written; empty only when allow_bare was set */
};

/* Parses all of `in` as a Mailbox.  With allow_bare a local part without
 * @domain is taken too (RCPT TO:<postmaster>, 4.1.1.3).  Bytes over 0x7f are
 * refused (SYNTAX). */
enum address_status address_parse(
    struct str in, bool allow_bare, struct address *out);
/* True for a host or domain name: letters, digits, hyphens (not at either end
 * of a label) and underscores in labels of 1-63, 255 in all, one final dot
 * allowed. */
bool address_is_domain(struct str);
/* True for [IPv4] and [IPv6:...] (4.1.3). */
bool address_is_literal(struct str);
/* Puts the canonical form, never longer than what was parsed; the buffer is
 * full when it does not fit. */
void address_put(struct buf *, struct address);
/* Splits a canonical address at its last @; the domain is empty for the null
 * path and for a bare local part. */
struct address address_split(struct str canonical);
/* Puts a local part without its quotes and backslashes (4.1.2: semantically
 * the same), for look-ups. */
void address_put_unquoted(struct buf *, struct str local);

#endif
