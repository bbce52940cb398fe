/* SPDX-License-Identifier: ISC
 * dot: a body of LF lines as SMTP sends it: CRLF lines, a dot more where a line
 * begins with one, and a lone dot at the end (RFC 5321 4.5.2, 2.3.8).  Pure;
 * the same result however the input is cut.
 */
#ifndef DOT_H
#define DOT_H

#include "common/buf.h"

struct dot {
	bool in_line; /* the last byte put was not a line's end */
};

/* What a look at the whole body told. */
struct dot_scan {
	uint64_t bytes, lines; /* lines: number of LF */
	bool in_line;	       /* the last byte was not a line's end */
	bool dirty;	       /* a CR or a NUL: must not be sent */
};

/* Adds a piece of the body. */
void dot_scan(struct dot_scan *, struct str piece);
/* What the message comes to on the wire, as SIZE counts it (RFC 1870 3): each
 * line with CRLF, the last one too, no stuffed dots. */
uint64_t dot_wire_size(const struct dot_scan *);

/* The most that dot_encode makes of n bytes, and of the end. */
#define DOT_ROOM(n) ((n)*2)
enum { DOT_END_ROOM = 5 };

/* Puts the wire form of a piece that has neither CR nor NUL; out has DOT_ROOM.
 * Should there be a CR or a NUL (the body changed after its scan): false. */
bool dot_encode(struct dot *, struct str piece, struct buf *out);
/* Ends the last line when it is not, and puts the final dot. */
void dot_end(struct dot *, struct buf *out);

#endif
