/* SPDX-License-Identifier: ISC
 * qp: contract in qp.h.  Pure.
 */
#include "inject/qp.h"

enum { LINE_WIDTH = 76 }; /* RFC 2045 6.7 (5) */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static void
make_room(struct qp *q, size_t n, struct buf *out)
{
	/* one column is kept for the = of the soft line break */
	if (q->column + n < LINE_WIDTH)
		return;
	buf_puts(out, "=\n");
	q->column = 0;
}

static void
put_encoded(struct qp *q, char c, struct buf *out)
{
	static const char hex[] = "0123456789ABCDEF";
	unsigned char u = (unsigned char)c;

	make_room(q, 3, out);
	buf_putc(out, '=');
	buf_putc(out, hex[u >> 4]);
	buf_putc(out, hex[u & 15]);
	q->column += 3;
}

static void
put(struct qp *q, char c, struct buf *out)
{
	bool plain = c == '\t' || (c >= ' ' && c <= '~' && c != '=');

	if (!plain) {
		put_encoded(q, c, out);
		return;
	}
	make_room(q, 1, out);
	buf_putc(out, c);
	q->column++;
}

/* Puts what is held; the first of it encoded, if so asked. */
static void
release(struct qp *q, bool encode_first, struct buf *out)
{
	for (size_t i = 0; i < q->held_n; i++)
		if (i == 0 && encode_first)
			put_encoded(q, q->held[i], out);
		else
			put(q, q->held[i], out);
	q->held_n = 0;
}

static void
end_line(struct qp *q, struct buf *out)
{
	bool from = q->held_n == sizeof(q->held);
	char last = q->held_n > 0 ? q->held[q->held_n - 1] : '\0';

	if (is_blank(last) || (last == '.' && q->held_n == 1)) {
		q->held_n--;
		release(q, from, out);
		put_encoded(q, last, out);
	} else {
		release(q, false, out);
	}
	buf_putc(out, '\n');
	q->column = 0;
}

/* May s be the beginning of what is held back at a line's start? */
static bool
is_start(struct str s)
{
	return str_starts(STR("From "), s) || str_eq(s, STR("."));
}

static void
take(struct qp *q, char c, struct buf *out)
{
	struct str held = { .p = q->held, .n = q->held_n + 1 };

	if (c == '\n') {
		end_line(q, out);
		return;
	}
	if (q->held_n < sizeof(q->held)) {
		q->held[q->held_n] = c;
		if (q->column == 0 && is_start(held)) {
			q->held_n++;
			return;
		}
	}
	release(q, q->held_n == sizeof(q->held), out);
	if (is_blank(c)) {
		q->held[0] = c;
		q->held_n = 1;
		return;
	}
	put(q, c, out);
}

void
qp_feed(struct qp *q, struct str in, struct buf *out)
{
	for (size_t i = 0; i < in.n; i++)
		take(q, in.p[i], out);
}

void
qp_end(struct qp *q, struct buf *out)
{
	release(q, false, out);
}
