/* SPDX-License-Identifier: ISC
 * phrase: what stands around addresses: display names, names of groups,
 * comments (RFC 5322 3.2.5), with 8-bit text as encoded words.  Pure.
 */
#ifndef PHRASE_H
#define PHRASE_H

#include "common/buf.h"
#include "inject/token.h"

/* A run of tokens. */
struct part {
	const struct token *t;
	size_t n;
};

/* Puts its spaces and comments, and nothing else. */
void phrase_put_blanks(struct buf *out, struct part);
/* Puts what stands before <...> or the colon of a group: as it is, or written
 * anew when it may not stand so.  False: it is too long for that. */
bool phrase_put(struct buf *out, struct part);
/* Puts a name of no tokens' as a phrase: as it is, quoted, or as encoded words.
 * Control bytes become spaces. */
void phrase_put_name(struct buf *out, struct str name);

#endif
