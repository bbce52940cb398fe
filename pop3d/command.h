/* SPDX-License-Identifier: ISC
 * command: the lines and commands of POP3 (RFC 1939 section 3, RFC 2449
 * section 4), for popup and pop3d alike.  Pure.
 *
 * Only CRLF ends a line; one that ends in a bare LF is refused, not obeyed.
 */
#ifndef POP3D_COMMAND_H
#define POP3D_COMMAND_H

#include "common/limits.h"
#include "common/str.h"

/* RFC 2449 section 4 asks for 255; a password may be longer. */
enum { POP3_LINE_MAX = LIMIT_PASSWORD + 7 };

enum pop3_line_status {
	POP3_LINE_OK,
	POP3_LINE_MORE,	   /* no whole line yet */
	POP3_LINE_BARE_LF, /* ended without its CR: dropped */
	POP3_LINE_TOO_LONG /* over POP3_LINE_MAX, line end included: dropped */
};

struct pop3_line {
	bool skipping; /* inside a line that is too long */
};

/* Takes the next line from `in`.  OK: *line is a view without its end.  *used
 * bytes of in are done with, whatever comes back; the rest is wanted again. */
enum pop3_line_status pop3_line_next(
    struct pop3_line *, struct str in, struct str *line, size_t *used);

enum pop3_verb {
	POP3_CAPA,
	POP3_DELE,
	POP3_LIST,
	POP3_NOOP,
	POP3_PASS,
	POP3_QUIT,
	POP3_RETR,
	POP3_RSET,
	POP3_STAT,
	POP3_TOP,
	POP3_UIDL,
	POP3_USER
};

enum pop3_status {
	POP3_OK,
	POP3_UNKNOWN, /* no such command */
	POP3_SYNTAX   /* its arguments are wrong, or a byte is not allowed */
};

struct pop3_command {
	enum pop3_verb verb;
	struct str text; /* USER's name, PASS's password: a view, not empty */
	bool has_number; /* LIST, UIDL: an argument was there */
	uint32_t number; /* message number, as given (0 is possible) */
	uint32_t lines;	 /* TOP's second argument */
};

/* Reads one line.  verb is set unless it is UNKNOWN. */
enum pop3_status pop3_command_parse(struct str line, struct pop3_command *);

#endif
