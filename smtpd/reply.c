/* SPDX-License-Identifier: ISC
 * reply: contract in reply.h.  Pure.
 */
#include "smtpd/reply.h"

static void
put_text(struct buf *out, struct str text)
{
	text = str_head(text, REPLY_TEXT_MAX);
	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		buf_putc(out, c >= ' ' && c <= '~' ? c : '?');
	}
	buf_put(out, STR("\r\n"));
}

void
reply_line(struct buf *out, unsigned code, bool last, struct str text)
{
	buf_put_u64(out, code);
	buf_putc(out, last ? ' ' : '-');
	put_text(out, text);
}

void
reply_put(struct buf *out, unsigned code, const char *status, struct str text)
{
	buf_put_u64(out, code);
	buf_putc(out, ' ');
	if (status != NULL) {
		buf_puts(out, status);
		buf_putc(out, ' ');
	}
	put_text(out, text);
}

/* 1-3 digits and what follows them; false: none, or too many. */
static bool
skip_number(struct str *s)
{
	size_t n = 0;

	while (n < s->n && byte_is_digit(s->p[n]))
		n++;
	*s = str_skip(*s, n);
	return n >= 1 && n <= 3;
}

/* RFC 3463 2: class "." subject "." detail */
struct str
reply_status(struct str text)
{
	struct str rest = str_skip(text, 1);

	if (text.n == 0 ||
	    (text.p[0] != '2' && text.p[0] != '4' && text.p[0] != '5'))
		return STR("");
	for (int i = 0; i < 2; i++) {
		if (!str_starts(rest, STR(".")))
			return STR("");
		rest = str_skip(rest, 1);
		if (!skip_number(&rest))
			return STR("");
	}
	if (rest.n > 0 && rest.p[0] != ' ')
		return STR("");
	return str_head(text, text.n - rest.n);
}

void
reply_relay(struct buf *out, unsigned code, const char *status, struct str text)
{
	struct str own = reply_status(text);

	if (own.n > 0 && own.p[0] == (char)('0' + code / 100))
		reply_put(out, code, NULL, text);
	else
		reply_put(out, code, status, text);
}
