/* SPDX-License-Identifier: ISC
 * reply: see reply.h.
 */
#include "send/reply.h"

#include <string.h>

void
reply_begin(struct reply *r)
{
	r->state = REPLY_AT_CODE;
	r->code = r->line_code = r->digits = 0;
	r->first = true;
	r->last = false;
	r->bytes = r->line_n = r->text_n = r->status_n = 0;
}

struct str
reply_line(const struct reply *r)
{
	return (struct str){ r->line_bytes, r->line_n };
}

struct str
reply_text(const struct reply *r)
{
	return (struct str){ r->text_bytes, r->text_n };
}

struct str
reply_enhanced(const struct reply *r)
{
	return (struct str){ r->status_bytes, r->status_n };
}

/* One to three digits at the front of *s, taken away. */
static bool
take_number(struct str *s)
{
	size_t n = 0;

	while (n < s->n && n < 3 && byte_is_digit(s->p[n]))
		n++;
	*s = str_skip(*s, n);
	return n > 0;
}

static bool
take_dot(struct str *s)
{
	if (s->n == 0 || s->p[0] != '.')
		return false;
	*s = str_skip(*s, 1);
	return true;
}

/* RFC 3463 section 2: class "." subject "." detail, then a space or the end. */
static void
find_enhanced(struct reply *r)
{
	struct str line = reply_line(r), rest = str_skip(line, 1);

	if (r->status_n > 0 || line.n == 0 ||
	    line.p[0] != (char)('0' + r->code / 100))
		return;
	if (!take_dot(&rest) || !take_number(&rest) || !take_dot(&rest) ||
	    !take_number(&rest) || (rest.n > 0 && rest.p[0] != ' '))
		return;
	r->status_n = line.n - rest.n;
	memcpy(r->status_bytes, line.p, r->status_n);
}

static void
put_safe(struct buf *out, struct str s)
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < s.n && !out->full; i++) {
		unsigned char c = (unsigned char)s.p[i];
		const char escaped[4] = { '\\', 'x', hex[c >> 4], hex[c & 15] };

		if (c < 0x20 || c > 0x7e || c == '\\')
			buf_put(out, (struct str){ escaped, 4 });
		else
			buf_putc(out, (char)c);
	}
}

static enum reply_status
end_line(struct reply *r)
{
	struct buf text = {
		.p = r->text_bytes, .n = r->text_n, .cap = sizeof(r->text_bytes)
	};

	find_enhanced(r);
	if (!r->first && r->line_n > 0)
		buf_putc(&text, ' ');
	put_safe(&text, reply_line(r));
	r->text_n = text.n;
	r->first = false;
	r->state = REPLY_AT_CODE;
	r->digits = 0;
	r->line_code = 0;
	return r->last ? REPLY_DONE : REPLY_LINE;
}

static bool
take_digit(struct reply *r, char c)
{
	if (!byte_is_digit(c))
		return false;
	if (r->digits == 0)
		r->line_n = 0;
	r->line_code = r->line_code * 10 + (unsigned)(c - '0');
	if (++r->digits < 3)
		return true;
	if (r->line_code < 200 || r->line_code > 599)
		return false;
	if (!r->first && r->line_code != r->code)
		return false;
	r->code = r->line_code;
	r->state = REPLY_AT_SEPARATOR;
	return true;
}

static bool
take_separator(struct reply *r, char c)
{
	if (c != ' ' && c != '-' && c != '\r')
		return false;
	r->last = c != '-';
	r->state = c == '\r' ? REPLY_AT_LF : REPLY_IN_TEXT;
	return true;
}

/* Takes a run of text and what ends it. */
static bool
take_text(struct reply *r, struct str in, size_t *used)
{
	size_t n = 0;

	while (n < in.n && in.p[n] != '\r' && in.p[n] != '\n')
		n++;
	size_t keep = sizeof(r->line_bytes) - r->line_n;
	if (keep > n)
		keep = n;
	memcpy(r->line_bytes + r->line_n, in.p, keep);
	r->line_n += keep;
	*used = n;
	if (n == in.n)
		return true;
	*used = n + 1;
	r->state = REPLY_AT_LF;
	return in.p[n] == '\r';
}

enum reply_status
reply_feed(struct reply *r, struct str in, size_t *used)
{
	size_t at = 0;

	*used = 0;
	while (at < in.n) {
		size_t took = 1;
		bool good = false, end = false;

		switch (r->state) {
		case REPLY_AT_CODE:
			good = take_digit(r, in.p[at]);
			break;
		case REPLY_AT_SEPARATOR:
			good = take_separator(r, in.p[at]);
			break;
		case REPLY_IN_TEXT:
			good = take_text(r, str_skip(in, at), &took);
			break;
		case REPLY_AT_LF:
			good = end = in.p[at] == '\n';
			break;
		}
		at += took;
		r->bytes += took;
		*used = at;
		if (!good || r->bytes > REPLY_BYTES_MAX)
			return REPLY_BAD;
		if (end)
			return end_line(r);
	}
	return REPLY_MORE;
}
