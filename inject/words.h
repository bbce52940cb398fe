/* SPDX-License-Identifier: ISC
 * words: 8-bit text in header fields as encoded words (RFC 2047), for the way
 * to other hosts is 7-bit without SMTPUTF8.  Pure.
 */
#ifndef WORDS_H
#define WORDS_H

#include "common/buf.h"

/* Puts s as encoded words, Q encoding, each on a line of its own when it does
 * not fit behind what is in `out`.  Line ends in s are left out.  The words may
 * stand in a phrase, a comment or unstructured text. */
void words_encode(struct buf *out, struct str s);
/* Puts unstructured text; from its first word with a byte over 0x7f to its last
 * one as encoded words. */
void words_put_text(struct buf *out, struct str s);

#endif
