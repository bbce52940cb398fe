/* SPDX-License-Identifier: ISC
 * dsn: writes the report of RFC 3464 (in the multipart/report of RFC 6522)
 * about recipients that failed.  Pure: no I/O, clock, heap or log.
 */
#ifndef DSN_H
#define DSN_H

#include "common/buf.h"

enum {
	DSN_HEADER_MAX = 64 * 1024, /* of the original's header */
	/* output for one recipient is at most this plus 14 times its text */
	DSN_PER_RCPT = 1024,
	DSN_FIXED = 8 * 1024
};

struct dsn_rcpt {
	struct str address;
	struct str text; /* of the failure; by another's server, any bytes */
};

struct dsn {
	struct str me;	       /* this host's name */
	struct str from;       /* address that bounces come from */
	struct str to;	       /* the sender, or the postmaster */
	bool is_double;	       /* the original had no sender */
	uint64_t id;	       /* of the original in the queue */
	int64_t birth, now_us; /* of the original; now */
	const struct dsn_rcpt *rcpts;
	size_t rcpt_count;
	struct str head; /* the original's first bytes, any bytes */
};

/* Puts the whole message, LF lines, into out, which is empty.  When there is
 * not enough room, it has fewer lines of the header, and less of each text;
 * full when not even that fits. */
void dsn_put(struct buf *out, const struct dsn *);

/* The header in these first bytes of a message: whole lines, without the empty
 * line; at most DSN_HEADER_MAX bytes. */
struct str dsn_header(struct str head);

/* The status of RFC 3463 that a text begins with; 5.0.0 when it has none. */
struct str dsn_status(struct str text);

#endif
