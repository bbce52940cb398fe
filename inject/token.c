/* SPDX-License-Identifier: ISC
 * token: contract in token.h.  Pure.
 */
#include "inject/token.h"

#include <string.h>

static bool
is_in(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

static bool
is_atom_byte(char c)
{
	unsigned char u = (unsigned char)c;

	return u > ' ' && u != 0x7f && !is_in(c, "()<>[]:;@\\,.\"");
}

static size_t
run_length(struct str s, bool space)
{
	size_t n = 0;

	while (n < s.n &&
	       (space ? is_in(s.p[n], " \t\r\n") : is_atom_byte(s.p[n])))
		n++;
	return n;
}

/* Length of what ends with `end` (quoted or literal); 0: it does not. */
static size_t
closed_length(struct str s, char end)
{
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] == end)
			return i + 1;
		if (s.p[i] == '\\')
			i++;
	}
	return 0;
}

static size_t
comment_length(struct str s)
{
	size_t depth = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '(')
			depth++;
		else if (s.p[i] == ')' && --depth == 0)
			return i + 1;
	}
	return 0;
}

static enum token_kind
measure(struct str s, size_t *n)
{
	char c = s.p[0];

	if (is_in(c, " \t\r\n")) {
		*n = run_length(s, true);
		return TOKEN_SPACE;
	}
	if (c == '(') {
		*n = comment_length(s);
		return TOKEN_COMMENT;
	}
	if (c == '"') {
		*n = closed_length(s, '"');
		return TOKEN_QUOTED;
	}
	if (c == '[') {
		*n = closed_length(s, ']');
		return TOKEN_LITERAL;
	}
	*n = run_length(s, false);
	if (*n > 0)
		return TOKEN_ATOM;
	*n = is_in(c, "<>@,;:.") ? 1 : 0;
	return TOKEN_SPECIAL;
}

struct token
token_next(struct str *rest)
{
	struct token t = { .kind = TOKEN_END, .text = *rest };
	size_t n = 0;

	if (rest->n == 0)
		return t;
	t.kind = measure(*rest, &n);
	if (n == 0) {
		t.kind = TOKEN_BAD;
		n = rest->n;
	}
	t.text = str_head(*rest, n);
	*rest = str_skip(*rest, n);
	return t;
}

bool
token_is(const struct token *t, char special)
{
	return t->kind == TOKEN_SPECIAL && t->text.p[0] == special;
}

bool
token_is_blank(const struct token *t)
{
	return t->kind == TOKEN_SPACE || t->kind == TOKEN_COMMENT;
}

bool
token_is_8bit(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > 0x7f)
			return true;
	return false;
}
