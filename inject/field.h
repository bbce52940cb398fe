/* SPDX-License-Identifier: ISC
 * field: the header of a message as a local program wrote it, field by field
 * (RFC 5322 2.2, 3.6).  Pure.
 */
#ifndef FIELD_H
#define FIELD_H

#include "common/str.h"

enum field_kind {
	FIELD_OTHER,	  /* unstructured, or unknown: the first of the table */
	FIELD_STRUCTURED, /* known, and none of our business */
	FIELD_FROM,
	FIELD_SENDER,
	FIELD_REPLY_TO, /* and others with addresses that get no copy */
	FIELD_TO,
	FIELD_CC,
	FIELD_BCC,
	FIELD_APPARENTLY_TO,
	FIELD_DATE,
	FIELD_MESSAGE_ID,
	FIELD_RETURN_PATH,
	FIELD_CONTENT_LENGTH,
	FIELD_MIME, /* MIME-Version and Content-anything */
	FIELD_RECEIVED,
	FIELD_RESENT_FROM,
	FIELD_RESENT_SENDER,
	FIELD_RESENT_REPLY_TO,
	FIELD_RESENT_TO,
	FIELD_RESENT_CC,
	FIELD_RESENT_BCC,
	FIELD_RESENT_DATE,
	FIELD_RESENT_MESSAGE_ID,
	FIELD_KINDS
};

struct field {
	enum field_kind kind;
	struct str name; /* without the colon */
	struct str body; /* all behind the colon, without the last line end */
};

/* Where the header ends.  MORE: not within `in`, which is the message so far.
 */
enum header_end { HEADER_MORE, HEADER_FOUND };

/* Looks for the header's end in a text of LF lines; `eof`: no more will come.
 * A first line "From ..." (mbox) belongs to no header: *header begins behind
 * it.  *body_at is behind the empty line, or, when a line that is no field
 * ends the header, at that line. */
enum header_end header_find(
    struct str in, bool eof, struct str *header, size_t *body_at);

/* Takes the next field from *rest, the header that header_find found.  False
 * at the end. */
bool field_next(struct str *rest, struct field *);

#endif
