/* SPDX-License-Identifier: ISC
 * reply: the replies of a stranger's SMTP server (RFC 5321 4.2), parsed
 * strictly.  Pure; the same result however the input is cut.
 */
#ifndef REPLY_H
#define REPLY_H

#include "common/buf.h"
#include "common/limits.h"

enum {
	REPLY_BYTES_MAX = 64 * 1024, /* of one reply, all lines */
	REPLY_LINE_MAX = 512,	     /* kept of a line's text */
	REPLY_STATUS_MAX = 12	     /* "5.123.123" */
};

enum reply_status {
	REPLY_MORE, /* all taken, the reply is not complete */
	REPLY_LINE, /* one line but not the last: see reply_line */
	REPLY_DONE, /* the last line: see reply_line, code, reply_text */
	REPLY_BAD   /* no SMTP reply; nothing that follows can be trusted */
};

enum reply_state {
	REPLY_AT_CODE,
	REPLY_AT_SEPARATOR,
	REPLY_IN_TEXT,
	REPLY_AT_LF
};

struct reply {
	enum reply_state state;
	unsigned code;	    /* 200..599 */
	unsigned line_code; /* of the line being read */
	unsigned digits;    /* of line_code seen */
	bool first, last;   /* line of the reply */
	size_t bytes;	    /* of the whole reply so far */
	size_t line_n;	    /* of line_bytes */
	size_t text_n;	    /* of text_bytes */
	size_t status_n;    /* of status_bytes */
	char line_bytes[REPLY_LINE_MAX];
	char text_bytes[LIMIT_REPLY_TEXT];
	char status_bytes[REPLY_STATUS_MAX];
};

/* Makes ready for the next reply. */
void reply_begin(struct reply *);
/* Takes bytes up to the end of one line; *used says how many.  After DONE call
 * reply_begin.  BAD: no three digits 2xx to 5xx, no space or hyphen behind
 * them, codes that differ, a bare CR or LF, or more than REPLY_BYTES_MAX. */
enum reply_status reply_feed(struct reply *, struct str in, size_t *used);
/* The line just read without its code, as it came, cut to REPLY_LINE_MAX. */
struct str reply_line(const struct reply *);
/* All lines without code, joined by a space; control bytes, backslashes and
 * bytes over 0x7e as \xHH; cut to LIMIT_REPLY_TEXT. */
struct str reply_text(const struct reply *);
/* The enhanced status code (RFC 3463, 2034) of the first line whose class is
 * that of the reply; empty when there is none. */
struct str reply_enhanced(const struct reply *);

#endif
