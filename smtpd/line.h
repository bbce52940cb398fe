/* SPDX-License-Identifier: ISC
 * line: cuts the command stream into lines.  Pure.  Only CRLF ends a line.
 */
#ifndef SMTPD_LINE_H
#define SMTPD_LINE_H

#include "common/str.h"

enum line_status {
	LINE_OK,       /* *line is set, without its CRLF */
	LINE_MORE,     /* no end of line yet */
	LINE_TOO_LONG, /* a line over the limit ended here; it is lost */
	LINE_BARE_LF   /* LF without CR: nothing behind it can be trusted */
};

struct line_reader {
	bool discarding;   /* inside a line that is over the limit */
	bool discarded_cr; /* and its last byte so far was CR */
};

/* Looks at `in`, the bytes not yet used.  *used is how many of them are done
 * with: after MORE the caller brings the others again, with what follows.  max
 * is the longest line, CRLF included.  The statuses are the same however the
 * input is cut. */
enum line_status line_next(struct line_reader *, struct str in, size_t max,
    struct str *line, size_t *used);

#endif
