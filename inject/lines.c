/* SPDX-License-Identifier: ISC
 * lines: contract in lines.h.  Pure.
 */
#include "inject/lines.h"

/* Bytes at the start of s that are neither CR nor LF nor NUL. */
static size_t
plain_length(struct str s)
{
	size_t n = 0;

	while (n < s.n && s.p[n] != '\r' && s.p[n] != '\n' && s.p[n] != '\0')
		n++;
	return n;
}

/* A byte that is one of the three, or that follows a CR. */
static enum lines_status
take_special(struct lines *l, char c, struct buf *out)
{
	if (c == '\0')
		return LINES_NUL;
	if (c == '\r') {
		if (l->cr)
			return LINES_CR;
		l->cr = true;
		return LINES_OK;
	}
	if (c != '\n')
		return LINES_CR;
	if (l->kind == LINES_ANY)
		l->kind = l->cr ? LINES_BY_CRLF : LINES_BY_LF;
	if (l->kind != (l->cr ? LINES_BY_CRLF : LINES_BY_LF))
		return LINES_MIXED;
	l->cr = false;
	buf_putc(out, '\n');
	return LINES_OK;
}

enum lines_status
lines_feed(struct lines *l, struct str *in, struct buf *out)
{
	while (in->n > 0 && buf_room(out) > 0) {
		struct str run = str_head(*in, buf_room(out));
		size_t n = l->cr ? 0 : plain_length(run);

		buf_put(out, str_head(run, n));
		*in = str_skip(*in, n);
		if (n > 0)
			continue;
		enum lines_status status = take_special(l, in->p[0], out);
		if (status != LINES_OK)
			return status;
		*in = str_skip(*in, 1);
	}
	return LINES_OK;
}

enum lines_status
lines_end(const struct lines *l)
{
	return l->cr ? LINES_CR : LINES_OK;
}

const char *
lines_why(enum lines_status status)
{
	switch (status) {
	case LINES_OK:
		return "2.6.0 The text is fine";
	case LINES_CR:
		return "5.6.0 The message holds a CR that ends no line; lines "
		       "must end in LF, or all in CRLF";
	case LINES_MIXED:
		return "5.6.0 Some lines of the message end in CRLF, others "
		       "in LF; make them alike";
	case LINES_NUL:
		return "5.6.0 The message holds a NUL byte; encode it (MIME)";
	}
	return "5.6.0 The message is no text";
}
