/* SPDX-License-Identifier: ISC
 * line: contract in line.h.  Pure.
 */
#include "smtpd/line.h"

/* The rest of a line that is too long. */
static enum line_status
discard(struct line_reader *r, struct str in, size_t *used)
{
	size_t lf = str_find(in, '\n');
	bool cr = lf > 0 ? in.p[lf - 1] == '\r' : r->discarded_cr;

	r->discarding = lf == in.n;
	r->discarded_cr = r->discarding && cr;
	*used = r->discarding ? in.n : lf + 1;
	if (r->discarding)
		return LINE_MORE;
	return cr ? LINE_TOO_LONG : LINE_BARE_LF;
}

enum line_status
line_next(struct line_reader *r, struct str in, size_t max, struct str *line,
    size_t *used)
{
	if (r->discarding)
		return discard(r, in, used);
	size_t lf = str_find(str_head(in, max), '\n');

	if (lf == in.n && in.n < max) {
		*used = 0;
		return LINE_MORE;
	}
	if (lf >= max) {
		r->discarding = true;
		r->discarded_cr = false;
		return discard(r, in, used);
	}
	*used = lf + 1;
	if (lf == 0 || in.p[lf - 1] != '\r')
		return LINE_BARE_LF;
	*line = str_head(in, lf - 1);
	return LINE_OK;
}
