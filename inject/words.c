/* SPDX-License-Identifier: ISC
 * words: contract in words.h.  Pure.
 */
#include "inject/words.h"

#include <string.h>
#include "inject/token.h"
#include "inject/utf8.h"

/* RFC 2047 2: a line with an encoded word, and so a word behind a space of no
 * more than 75 */
enum { LINE_WIDTH = 76 };

/* What may stand for itself even in a phrase (RFC 2047 5 (3)). */
static bool
is_plain(char c)
{
	return byte_is_alpha(c) || byte_is_digit(c) ||
	       (c != '\0' && strchr("!*+-/", c) != NULL);
}

/* What stands on the line that out ends with. */
static struct str
last_line(const struct buf *out)
{
	struct str head, line;

	return str_rcut(buf_str(out), '\n', &head, &line) ? line : buf_str(out);
}

/* Bytes of the character at the start of s. */
static size_t
char_length(struct str s, bool utf8)
{
	size_t n = 1;

	while (utf8 && n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n++;
	return n;
}

static size_t
encoded_length(struct str s)
{
	size_t sum = 0;

	for (size_t i = 0; i < s.n; i++)
		sum += is_plain(s.p[i]) || s.p[i] == ' ' ? 1 : 3;
	return sum;
}

static void
put_encoded(struct buf *out, struct str s)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == ' ') {
			buf_putc(out, '_');
		} else if (is_plain(s.p[i])) {
			buf_putc(out, s.p[i]);
		} else {
			buf_putc(out, '=');
			buf_putc(out, hex[c >> 4]);
			buf_putc(out, hex[c & 15]);
		}
	}
}

/* Puts one encoded word of at most `room` bytes; what of s it took.  At least
 * one character, whatever the room. */
static size_t
put_word(struct buf *out, struct str s, size_t room, bool utf8)
{
	const char *charset = utf8 ? "utf-8" : "unknown-8bit";
	size_t used = strlen(charset) + 7; /* =?..?Q?..?= */
	size_t taken = 0;

	buf_puts(out, "=?");
	buf_puts(out, charset);
	buf_puts(out, "?Q?");
	while (taken < s.n) {
		struct str rest = str_skip(s, taken);
		struct str one = str_head(rest, char_length(rest, utf8));

		used += encoded_length(one);
		if (taken > 0 && used > room)
			break;
		if (one.p[0] != '\n' && one.p[0] != '\r')
			put_encoded(out, one);
		taken += one.n;
	}
	buf_puts(out, "?=");
	return taken;
}

void
words_encode(struct buf *out, struct str s)
{
	enum { SHORTEST = 36 };
	bool utf8 = utf8_is(s);

	while (s.n > 0 && !out->full) {
		struct str line = last_line(out);
		size_t room = line.n < LINE_WIDTH ? LINE_WIDTH - line.n : 0;

		/* never leave a line of nothing but space behind */
		if (room < SHORTEST && str_trim(line).n > 0) {
			buf_puts(out, "\n ");
			room = LINE_WIDTH - 1;
		}
		s = str_skip(s, put_word(out, s, room, utf8));
		if (s.n > 0)
			buf_puts(out, "\n ");
	}
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool
is_high(char c)
{
	return (unsigned char)c > 0x7f;
}

void
words_put_text(struct buf *out, struct str s)
{
	size_t first = 0, last = s.n;

	while (first < s.n && !is_high(s.p[first]))
		first++;
	if (first == s.n) {
		buf_put(out, s);
		return;
	}
	while (!is_high(s.p[last - 1]))
		last--;
	while (first > 0 && !is_space(s.p[first - 1]))
		first--;
	while (last < s.n && !is_space(s.p[last]))
		last++;
	buf_put(out, str_head(s, first));
	words_encode(out, str_skip(str_head(s, last), first));
	buf_put(out, str_skip(s, last));
}
