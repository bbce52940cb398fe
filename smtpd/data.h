/* SPDX-License-Identifier: ISC
 * data: the bytes between DATA and the final dot (RFC 5321 4.5.2, 2.3.8),
 * turned into LF lines.  Pure.
 *
 * Only CRLF ends a line and only CRLF.CRLF the message.  A message with a bare
 * CR, a bare LF or a NUL, one over the limit, and one that loops is read to its
 * end all the same, so that the dialogue survives, but nothing of it is put out
 * any more and its problem is told.
 */
#ifndef SMTPD_DATA_H
#define SMTPD_DATA_H

#include "common/buf.h"
#include "common/hops.h"

enum data_status {
	DATA_MORE, /* all of the input is used */
	DATA_FULL, /* no room left in `out`; empty it and bring the rest */
	DATA_END   /* the final dot; what is not used are commands */
};

/* The first that was met counts, but a wrong byte counts over the others. */
enum data_problem {
	DATA_GOOD,
	DATA_BARE,	/* bare CR or LF: 554 5.6.0 */
	DATA_NUL,	/* 554 5.6.0 */
	DATA_TOO_LARGE, /* 552 5.3.4 */
	DATA_LOOP	/* too many Received: 554 5.4.6 */
};

/* Where in the line the next byte stands. */
enum data_place {
	PLACE_START,  /* a new line */
	PLACE_DOT,    /* behind its first byte, a dot */
	PLACE_DOT_CR, /* behind dot and CR */
	PLACE_TEXT,
	PLACE_CR /* behind a CR in the text */
};

struct data {
	enum data_place place;
	enum data_problem problem;
	uint64_t max;  /* bytes on the wire, CRLF for each line; 0: any */
	uint64_t size; /* so far, dots of dot-stuffing not counted */
	struct hops hops;
};

/* A new message of at most max bytes on the wire; 0: any. */
void data_begin(struct data *, uint64_t max);
/* Takes the next bytes; *used says how many.  The lines put out and the end are
 * the same however the input is cut; what was put out of a message that turns
 * out to have a problem is to be thrown away. */
enum data_status data_feed(
    struct data *, struct str in, struct buf *out, size_t *used);

#endif
