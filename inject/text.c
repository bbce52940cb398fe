/* SPDX-License-Identifier: ISC
 * text: contract in text.h.  Pure.
 */
#include "inject/text.h"

static enum text_status
end_line(struct text *t, struct buf *out)
{
	bool over = t->dot && t->dot_ends;

	if (t->dot && !over)
		buf_putc(out, '.');
	t->dot = t->cr = false;
	t->in_line = false;
	if (over)
		return TEXT_DOT;
	buf_putc(out, '\n');
	return TEXT_MORE;
}

static enum text_status
take(struct text *t, char c, struct buf *out)
{
	if (c == '\0')
		return TEXT_NUL;
	if (c == '\n')
		return end_line(t, out);
	if (t->cr)
		return TEXT_CR;
	if (c == '\r') {
		t->cr = true;
		return TEXT_MORE;
	}
	if (c == '.' && !t->in_line && !t->dot) {
		t->dot = true;
		return TEXT_MORE;
	}
	if (t->dot)
		buf_putc(out, '.');
	t->dot = false;
	t->in_line = true;
	buf_putc(out, c);
	return TEXT_MORE;
}

/* Bytes that stand for themselves within a line. */
static size_t
plain_run(struct str s)
{
	size_t n = 0;

	while (n < s.n && s.p[n] != '\n' && s.p[n] != '\r' && s.p[n] != '\0')
		n++;
	return n;
}

enum text_status
text_feed(struct text *t, struct str in, struct buf *out)
{
	enum text_status status = TEXT_MORE;

	while (in.n > 0 && status == TEXT_MORE) {
		size_t n = t->in_line && !t->cr ? plain_run(in) : 0;

		if (n > 0) {
			buf_put(out, str_head(in, n));
		} else {
			status = take(t, in.p[0], out);
			n = 1;
		}
		in = str_skip(in, n);
	}
	return status;
}

enum text_status
text_end(struct text *t, struct buf *out)
{
	if (t->cr)
		return TEXT_CR;
	if (t->in_line || t->dot) {
		/* a last line without its end: a lone dot ends, too */
		enum text_status status = end_line(t, out);

		return status == TEXT_DOT ? TEXT_MORE : status;
	}
	return TEXT_MORE;
}

void
text_look(struct text_facts *f, struct str s)
{
	utf8_feed(&f->utf8, s);
	f->size += s.n;
	while (s.n > 0) {
		size_t n = str_find(s, '\n');

		f->line += n;
		if (f->line > f->longest)
			f->longest = f->line;
		if (n < s.n)
			f->line = 0;
		s = str_skip(s, n + 1);
	}
}
