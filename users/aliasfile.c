/* SPDX-License-Identifier: ISC
 * aliasfile: contract in aliasfile.h.  Pure.
 */
#include "users/aliasfile.h"

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool
is_comment(struct str line)
{
	struct str s = str_trim(line);

	return s.n == 0 || s.p[0] == '#';
}

/* The first line of rest, without its LF. */
static struct str
first_line(struct str rest)
{
	return str_head(rest, str_find(rest, '\n'));
}

static void
skip_line(struct aliasfile *f)
{
	f->rest = str_skip(f->rest, str_find(f->rest, '\n') + 1);
	f->line++;
}

/* Where the quoted string that begins s ends: behind its closing quote, or at
 * s.n when it has none. */
static size_t
quoted_end(struct str s)
{
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			return i + 1;
	}
	return s.n;
}

/* Index of the first c outside quotes, or s.n. */
static size_t
find_unquoted(struct str s, char c)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"')
			i += quoted_end(str_skip(s, i)) - 1;
		else if (s.p[i] == c)
			return i;
	}
	return s.n;
}

/* ---- entries ---- */

/* Does the entry go on with this line? */
static bool
goes_on(struct str line)
{
	return is_comment(line) || is_blank(line.p[0]);
}

bool
aliasfile_entry(
    struct aliasfile *f, struct aliasfile_entry *e, const char **wrong)
{
	while (f->rest.n > 0 && is_comment(first_line(f->rest)))
		skip_line(f);
	if (f->rest.n == 0)
		return false;
	struct str line = first_line(f->rest);
	size_t colon = find_unquoted(line, ':');
	struct str text = f->rest;

	e->line = f->line;
	e->name = str_trim(str_head(line, colon));
	*wrong = is_blank(line.p[0]) ? "no alias stands before this line: an "
				       "alias begins in the first column"
		 : colon == line.n || e->name.n == 0
		     ? "not `name: target, target`"
		     : NULL;
	do
		skip_line(f);
	while (f->rest.n > 0 && goes_on(first_line(f->rest)));
	e->values.line = e->line;
	e->values.rest = str_skip(
	    str_head(text, text.n - f->rest.n), *wrong ? 0 : colon + 1);
	return true;
}

/* ---- targets ---- */

/* Takes blanks, commas, line ends and comment lines from the front. */
static void
skip_between(struct aliasfile *f)
{
	while (f->rest.n > 0) {
		char c = f->rest.p[0];

		if (c == '\n') {
			skip_line(f);
			while (f->rest.n > 0 && is_comment(first_line(f->rest)))
				skip_line(f);
		} else if (is_blank(c) || c == ',') {
			f->rest = str_skip(f->rest, 1);
		} else {
			return;
		}
	}
}

/* The whole of s is one quoted string. */
static bool
is_quoted(struct str s)
{
	return s.n >= 2 && s.p[0] == '"' && s.p[s.n - 1] == '"' &&
	       quoted_end(s) == s.n;
}

static void
classify(struct str s, struct aliasfile_target *t)
{
	struct str inner =
	    is_quoted(s) ? str_trim(str_head(str_skip(s, 1), s.n - 2)) : s;
	char c = inner.n > 0 ? inner.p[0] : '\0';

	t->kind = ALIASFILE_ADDRESS;
	t->text = s;
	if (str_istarts(inner, STR(":include:"))) {
		t->kind = ALIASFILE_INCLUDE;
		t->text = str_trim(str_skip(inner, STR(":include:").n));
		return;
	}
	if (c == '|')
		t->kind = ALIASFILE_PROGRAM;
	else if (c == '/')
		t->kind = ALIASFILE_FILE;
	else if (c == ':')
		t->kind = ALIASFILE_SPECIAL;
	else if (c == '\\')
		t->kind = ALIASFILE_OWN;
	if (t->kind != ALIASFILE_ADDRESS)
		t->text = inner;
}

/* "Bob <bob@example.org>" is the address in it. */
static struct str
without_phrase(struct str s)
{
	size_t open = find_unquoted(s, '<');

	if (open == s.n || s.p[s.n - 1] != '>')
		return s;
	return str_head(str_skip(s, open + 1), s.n - open - 2);
}

bool
aliasfile_target(struct aliasfile *f, struct aliasfile_target *t)
{
	while (f->rest.n > 0 && is_comment(first_line(f->rest)))
		skip_line(f);
	skip_between(f);
	if (f->rest.n == 0)
		return false;
	struct str line = first_line(f->rest);
	size_t n = find_unquoted(line, ',');

	t->line = f->line;
	classify(without_phrase(str_trim(str_head(line, n))), t);
	f->rest = str_skip(f->rest, n);
	return true;
}
