/* SPDX-License-Identifier: ISC
 * wire: a message file as RETR and TOP send it (RFC 1939 section 3).  Pure.
 *
 * The one transformation: a line ends at LF, and a CR right before it belongs
 * to the end; it is sent as CRLF.  A last line without LF gets one.  Every
 * other byte goes as it is: a CR elsewhere, NUL, 8-bit.  A line that begins
 * with a dot gets a second one, which does not count as an octet of the
 * message.
 */
#ifndef POP3D_WIRE_H
#define POP3D_WIRE_H

#include "common/buf.h"

struct wire {
	uint64_t octets;     /* sent so far: no stuffed dot, no final dot */
	uint64_t lines_left; /* of the body, when limited */
	bool limited;	     /* TOP */
	bool in_header;
	bool mid_line; /* something stands on this line */
	bool blank;    /* and it is at most one CR */
	bool after_cr;
	bool done; /* TOP has all its lines: no more input is needed */
};

/* Room in `out` below which wire_feed and wire_end may do nothing. */
enum { WIRE_ROOM = 8 };

/* For RETR: all of it. */
struct wire wire_begin(void);
/* For TOP: the header, the blank line, and that many lines of the body. */
struct wire wire_begin_top(uint64_t lines);
/* Puts as much of `in` as fits and tells how many bytes of it that were; all,
 * once w->done is set. */
size_t wire_feed(struct wire *w, struct str in, struct buf *out);
/* The end: a line end if one is missing, and the final dot. */
void wire_end(struct wire *w, struct buf *out);
/* As wire_feed without any output, for octets alone... */
void wire_measure(struct wire *w, struct str in);
/* ...and what they come to with the line end that wire_end would add. */
uint64_t wire_octets(const struct wire *w);

#endif
