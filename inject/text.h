/* SPDX-License-Identifier: ISC
 * text: what a local program writes as a message, made LF lines, and what must
 * be known of it.  Pure; the same result however the input is cut.
 */
#ifndef TEXT_H
#define TEXT_H

#include "common/buf.h"
#include "inject/utf8.h"

enum text_status {
	TEXT_MORE, /* all of the input was taken */
	TEXT_DOT,  /* a line of a single dot: the message is over */
	TEXT_CR,   /* a CR that is not of a CRLF */
	TEXT_NUL   /* a NUL byte */
};

/* Zero it and set dot_ends to begin. */
struct text {
	bool dot_ends; /* a line of a single dot ends the message */
	bool in_line;  /* bytes of the line have been put out */
	bool dot, cr;  /* held back: "." at a line's start, and CR */
};

/* Puts `in` with CRLF as LF into out, which needs in.n + 3 bytes of room. */
enum text_status text_feed(struct text *, struct str in, struct buf *out);
/* The end of the input: puts what was held back.  Sees to a last LF. */
enum text_status text_end(struct text *, struct buf *out);

/* Zero it to begin. */
struct text_facts {
	struct utf8 utf8;
	uint64_t size;
	size_t line, longest; /* bytes, LF not counted */
};

/* Takes the next bytes of LF lines. */
void text_look(struct text_facts *, struct str);

#endif
