/* SPDX-License-Identifier: ISC
 * lines: text of this host's programs as the queue wants it: lines that end in
 * LF.  Text whose lines all end in CRLF is made so; any other CR, and a NUL, is
 * refused.  Pure; takes its input in pieces.  Public.
 */
#ifndef LINES_H
#define LINES_H

#include "common/buf.h"

enum lines_status {
	LINES_OK,
	LINES_CR,    /* a CR that ends no line */
	LINES_MIXED, /* some lines end in CRLF, others in LF */
	LINES_NUL
};

/* Zeroed, it begins; the first line's end decides how the others must end. */
struct lines {
	enum { LINES_ANY, LINES_BY_LF, LINES_BY_CRLF } kind;
	bool cr; /* a CR waits for its LF */
};

/* Moves text from *in to out, until either is used up. */
enum lines_status lines_feed(struct lines *, struct str *in, struct buf *out);
/* What to tell the author of the text, with an enhanced status code. */
const char *lines_why(enum lines_status);
/* The text has ended. */
enum lines_status lines_end(const struct lines *);

#endif
