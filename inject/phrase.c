/* SPDX-License-Identifier: ISC
 * phrase: contract in phrase.h.  Pure.
 */
#include "inject/phrase.h"

#include "inject/words.h"

/* A comment, with 8-bit text encoded. */
static void
put_comment(struct buf *out, struct str s)
{
	if (!token_is_8bit(s)) {
		buf_put(out, s);
		return;
	}
	buf_putc(out, '(');
	words_encode(out, str_skip(str_head(s, s.n - 1), 1));
	buf_putc(out, ')');
}

void
phrase_put_blanks(struct buf *out, struct part p)
{
	for (size_t i = 0; i < p.n; i++)
		if (p.t[i].kind == TOKEN_COMMENT)
			put_comment(out, p.t[i].text);
		else if (p.t[i].kind == TOKEN_SPACE)
			buf_put(out, p.t[i].text);
}

/* The content of a quoted string, or a text without quotes. */
static void
put_unquoted(struct buf *out, struct str s)
{
	bool quoted = s.n > 1 && s.p[0] == '"';

	if (quoted)
		s = str_skip(str_head(s, s.n - 1), 1);
	for (size_t i = 0; i < s.n; i++) {
		if (quoted && s.p[i] == '\\' && i + 1 < s.n)
			i++;
		buf_putc(out, s.p[i] == '\n' ? ' ' : s.p[i]);
	}
}

static void
put_quoted(struct buf *out, struct str s)
{
	buf_putc(out, '"');
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_putc(out, '\\');
		buf_putc(out, s.p[i]);
	}
	buf_putc(out, '"');
}

enum { NAME_MAX_BYTES = 4096 };

/* A phrase that has to be written anew: its words without quotes, as encoded
 * words or as one quoted string. */
static bool
put_new_phrase(struct buf *out, struct part p)
{
	char room[NAME_MAX_BYTES];
	struct buf name = BUF_ON(room);
	bool comment = false;

	for (size_t i = 0; i < p.n; i++) {
		if (p.t[i].kind == TOKEN_COMMENT)
			comment = true;
		else if (p.t[i].kind == TOKEN_SPACE)
			buf_putc(&name, ' ');
		else
			put_unquoted(&name, p.t[i].text);
	}
	if (name.full)
		return false;
	struct str text = str_trim(buf_str(&name));

	if (token_is_8bit(text))
		words_encode(out, text);
	else
		put_quoted(out, text);
	for (size_t i = 0; comment && i < p.n; i++)
		if (p.t[i].kind == TOKEN_COMMENT) {
			buf_putc(out, ' ');
			put_comment(out, p.t[i].text);
		}
	return true;
}

bool
phrase_put(struct buf *out, struct part p)
{
	bool anew = false;
	size_t lead = 0, tail = p.n;

	for (size_t i = 0; i < p.n; i++)
		if (p.t[i].kind == TOKEN_LITERAL ||
		    (p.t[i].kind == TOKEN_SPECIAL && !token_is(&p.t[i], '.')) ||
		    (p.t[i].kind != TOKEN_COMMENT &&
			token_is_8bit(p.t[i].text)))
			anew = true;
	while (lead < tail && token_is_blank(&p.t[lead]))
		lead++;
	while (tail > lead && p.t[tail - 1].kind == TOKEN_SPACE)
		tail--;
	phrase_put_blanks(out, (struct part){ p.t, lead });
	struct part words = { p.t + lead, tail - lead };

	if (anew && !put_new_phrase(out, words))
		return false;
	for (size_t i = 0; !anew && i < words.n; i++)
		if (words.t[i].kind == TOKEN_COMMENT)
			put_comment(out, words.t[i].text);
		else
			buf_put(out, words.t[i].text);
	phrase_put_blanks(out, (struct part){ p.t + tail, p.n - tail });
	return true;
}

void
phrase_put_name(struct buf *out, struct str name)
{
	char room[NAME_MAX_BYTES];
	struct buf clean = BUF_ON(room);
	bool plain = true;

	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];
		bool control = (unsigned char)c < ' ' || c == 0x7f;

		buf_putc(&clean, control ? ' ' : c);
		plain = plain && (byte_is_alpha(c) || byte_is_digit(c) ||
				     c == ' ' || c == '-' || c == '_');
	}
	struct str text = str_trim(buf_str(&clean));

	if (token_is_8bit(text))
		words_encode(out, text);
	else if (plain)
		buf_put(out, text);
	else
		put_quoted(out, text);
}
