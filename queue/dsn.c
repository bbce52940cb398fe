/* SPDX-License-Identifier: ISC
 * dsn: contract in dsn.h.
 */
#include "queue/dsn.h"

#include <string.h>
#include "common/clock.h"

enum {
	FOLD = 74,	/* columns of a folded text */
	WORD_MAX = 900, /* a longer word is cut (RFC 5322 2.1.1: 998) */
	LINE_MAX_OUT = 990
};

/* ---- text of others ---- */

/* Puts one byte of a stranger's text: printable ASCII as it is, white space as
 * a space, all else as \xHH.  Returns the columns. */
static size_t
put_safe_byte(struct buf *out, char c)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char u = (unsigned char)c;
	if (u == '\n' || u == '\r' || u == '\t' || (u >= ' ' && u < 0x7f)) {
		buf_putc(out, u < ' ' ? ' ' : c);
		return 1;
	}
	buf_puts(out, "\\x");
	buf_putc(out, hex[u >> 4]);
	buf_putc(out, hex[u & 15]);
	return 4;
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Puts a text with line breaks between words; each new line begins with four
 * spaces, so that in a header it is a continuation. */
static void
put_folded(struct buf *out, struct str text, size_t column)
{
	text = str_trim(text);
	while (text.n > 0) {
		size_t word = 0;
		while (word < text.n && !is_space(text.p[word]))
			word++;
		if (column + word + 1 > FOLD && column > 4) {
			buf_puts(out, "\n   ");
			column = 3;
		}
		buf_putc(out, ' ');
		column++;
		for (size_t i = 0; i < word; i++) {
			if (column >= WORD_MAX) {
				buf_puts(out, "\n    ");
				column = 4;
			}
			column += put_safe_byte(out, text.p[i]);
		}
		text = str_skip(text, word);
		while (text.n > 0 && is_space(text.p[0]))
			text = str_skip(text, 1);
	}
	buf_putc(out, '\n');
}

static size_t
digits(struct str s)
{
	size_t n = 0;
	while (n < s.n && byte_is_digit(s.p[n]))
		n++;
	return n;
}

struct str
dsn_status(struct str text)
{
	static const struct str unknown = { "5.0.0", 5 };
	if (text.n < 5 || (text.p[0] != '4' && text.p[0] != '5') ||
	    text.p[1] != '.')
		return unknown;
	size_t subject = digits(str_skip(text, 2));
	struct str rest = str_skip(text, 2 + subject);
	if (subject < 1 || subject > 3 || rest.n < 2 || rest.p[0] != '.')
		return unknown;
	size_t detail = digits(str_skip(rest, 1));
	size_t n = 2 + subject + 1 + detail;
	if (detail < 1 || detail > 3 || (n < text.n && !is_space(text.p[n])))
		return unknown;
	return str_head(text, n);
}

/* ---- the original's header ---- */

struct str
dsn_header(struct str head)
{
	struct str rest = str_head(head, DSN_HEADER_MAX);
	size_t whole = 0;
	while (rest.n > 0) {
		size_t n = str_find(rest, '\n');
		if (n == 0 || n == rest.n)
			break; /* the empty line; a line that was cut off */
		whole += n + 1;
		rest = str_skip(rest, n + 1);
	}
	return str_head(head, whole);
}

static bool
has_8bit(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return true;
	return false;
}

/* The header's lines, cut to a length that any host takes, and without the two
 * bytes that no message may hold; as many as leave n bytes of room. */
static void
put_header(struct buf *out, struct str header, size_t n)
{
	struct str line;
	while (str_line(&header, &line)) {
		line = str_head(line, LINE_MAX_OUT);
		if (buf_room(out) < line.n + 1 + n)
			return;
		for (size_t i = 0; i < line.n; i++) {
			char c = line.p[i];
			buf_putc(out, c == '\r' || c == '\0' ? '?' : c);
		}
		buf_putc(out, '\n');
	}
}

/* ---- the report ---- */

/* A boundary that stands nowhere in the original's header; the texts are
 * folded with spaces in front, so it cannot stand there. */
static void
put_boundary(struct buf *out, const struct dsn *d, struct str header)
{
	buf_puts(out, "postern-");
	buf_put_hex64(out, d->id);
	buf_putc(out, '-');
	buf_put_u64(out, (uint64_t)d->now_us);
	while (!out->full && memmem(header.p, header.n, out->p, out->n) != NULL)
		buf_putc(out, '=');
}

static void
put_top(struct buf *out, const struct dsn *d, struct str boundary, bool eight)
{
	buf_puts(out, "Date: ");
	clock_put_rfc5322(out, d->now_us / 1000000);
	buf_puts(out, "\nFrom: Mail system <");
	buf_put(out, d->from);
	buf_puts(out, ">\nTo: <");
	buf_put(out, d->to);
	buf_puts(out, ">\nSubject: ");
	buf_puts(out, d->is_double ? "Double bounce: a message that can be "
				     "neither delivered nor returned"
				   : "Undelivered mail returned to sender");
	buf_puts(out, "\nMessage-ID: <");
	buf_put_u64(out, (uint64_t)d->now_us);
	buf_putc(out, '.');
	buf_put_hex64(out, d->id);
	buf_puts(out, ".bounce@");
	buf_put(out, d->me);
	buf_puts(out, ">\nAuto-Submitted: auto-replied\n"
		      "MIME-Version: 1.0\n"
		      "Content-Type: multipart/report; "
		      "report-type=delivery-status;\n\tboundary=\"");
	buf_put(out, boundary);
	buf_puts(
	    out, eight ? "\"\nContent-Transfer-Encoding: 8bit\n\n" : "\"\n\n");
	buf_puts(out, "This is a report in MIME format (RFC 3464).\n\n");
}

static void
put_part(struct buf *out, struct str boundary, const char *type,
    const char *encoding)
{
	buf_puts(out, "--");
	buf_put(out, boundary);
	buf_puts(out, "\nContent-Type: ");
	buf_puts(out, type);
	buf_puts(out, encoding);
	buf_puts(out, "\n\n");
}

static void
put_people_part(struct buf *out, const struct dsn *d, size_t most)
{
	buf_puts(out, "This is the mail system at ");
	buf_put(out, d->me);
	buf_puts(out, ".\n\n");
	buf_puts(out,
	    d->is_double
		? "A message could not be delivered to the recipients below, "
		  "and it has no\nreturn address (it is a bounce itself), so "
		  "the report comes to you as the\npostmaster.  This is a "
		  "double bounce.  Nothing more will be tried.\n\n"
		: "Your message could not be delivered to the recipients "
		  "below.  It will not be\ntried again.  Below each address is "
		  "the reason that was given.\n\n");
	for (size_t i = 0; i < d->rcpt_count; i++) {
		buf_putc(out, '<');
		buf_put(out, d->rcpts[i].address);
		buf_puts(out, ">:\n   ");
		put_folded(out, str_head(d->rcpts[i].text, most), 3);
		buf_putc(out, '\n');
	}
	buf_puts(out, "The header of the message is attached.\n\n");
}

static void
put_status_part(struct buf *out, const struct dsn *d, size_t most)
{
	buf_puts(out, "Reporting-MTA: dns; ");
	buf_put(out, d->me);
	buf_puts(out, "\nX-Postern-Queue-ID: ");
	buf_put_hex64(out, d->id);
	buf_puts(out, "\nArrival-Date: ");
	clock_put_rfc5322(out, d->birth);
	buf_putc(out, '\n');
	for (size_t i = 0; i < d->rcpt_count; i++) {
		buf_puts(out, "\nFinal-Recipient: rfc822; ");
		buf_put(out, d->rcpts[i].address);
		buf_puts(out, "\nAction: failed\nStatus: ");
		buf_put(out, dsn_status(d->rcpts[i].text));
		buf_puts(out, "\nDiagnostic-Code: smtp;");
		put_folded(out, str_head(d->rcpts[i].text, most), 22);
		buf_puts(out, "Last-Attempt-Date: ");
		clock_put_rfc5322(out, d->now_us / 1000000);
		buf_putc(out, '\n');
	}
	buf_putc(out, '\n');
}

/* Tells `most` bytes of each text. */
static void
put_report(struct buf *out, const struct dsn *d, size_t most)
{
	char space[128];
	struct buf b = BUF_ON(space);
	struct str header = dsn_header(d->head);
	bool eight = has_8bit(header);
	put_boundary(&b, d, header);
	struct str boundary = buf_str(&b);

	put_top(out, d, boundary, eight);
	put_part(out, boundary, "text/plain; charset=us-ascii", "");
	put_people_part(out, d, most);
	put_part(out, boundary, "message/delivery-status", "");
	put_status_part(out, d, most);
	put_part(out, boundary, "text/rfc822-headers",
	    eight ? "\nContent-Transfer-Encoding: 8bit" : "");
	put_header(out, header, boundary.n + sizeof("\n----\n") - 1);
	buf_puts(out, "\n--");
	buf_put(out, boundary);
	buf_puts(out, "--\n");
}

void
dsn_put(struct buf *out, const struct dsn *d)
{
	static const size_t most[] = { SIZE_MAX, 100, 10 };

	for (size_t i = 0; i == 0 || (i < N_ELEMENTS(most) && out->full); i++) {
		buf_reset(out);
		put_report(out, d, most[i]);
	}
}
