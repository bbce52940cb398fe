/* SPDX-License-Identifier: ISC
 * dotqmail: contract in dotqmail.h.
 */
#include "send/dotqmail.h"

#include <string.h>

/* ---- lines ---- */

static struct str
trim_end(struct str s)
{
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

static struct dotqmail_line
file_line(struct str s)
{
	if (!str_ends(s, STR("/")))
		return (struct dotqmail_line){ DOTQMAIL_MBOX, s };
	while (s.n > 1 && s.p[s.n - 1] == '/')
		s.n--;
	return (struct dotqmail_line){ DOTQMAIL_MAILDIR, s };
}

static struct dotqmail_line
read_line(struct str s)
{
	if (str_find(s, '\0') < s.n)
		return (struct dotqmail_line){ DOTQMAIL_BAD, s };
	switch (s.p[0]) {
	case '.':
	case '/':
		return file_line(s);
	case '|':
		return (
		    struct dotqmail_line){ DOTQMAIL_PROGRAM, str_skip(s, 1) };
	case '&':
		return (struct dotqmail_line){ DOTQMAIL_FORWARD,
			str_trim(str_skip(s, 1)) };
	case '+':
		if (str_eq(s, STR("+list")))
			return (struct dotqmail_line){ DOTQMAIL_LIST, s };
		return (struct dotqmail_line){ DOTQMAIL_BAD, s };
	default:
		return (struct dotqmail_line){ DOTQMAIL_FORWARD, str_trim(s) };
	}
}

bool
dotqmail_next(struct str content, size_t *at, struct dotqmail_line *line)
{
	while (*at < content.n) {
		bool first = *at == 0;
		struct str rest = str_skip(content, *at), s;
		if (!str_line(&rest, &s))
			return false;
		*at = content.n - rest.n;
		s = trim_end(s);
		if (s.n == 0 && first) {
			*line = (struct dotqmail_line){ DOTQMAIL_BLANK, s };
			return true;
		}
		if (s.n == 0 || s.p[0] == '#')
			continue;
		*line = read_line(s);
		return true;
	}
	return false;
}

/* ---- paths ---- */

bool
dotqmail_path_is_plain(struct str path, size_t max)
{
	enum { NAME_BYTES = 255 };
	if (path.n == 0 || path.n > max || str_find(path, '\0') < path.n)
		return false;
	struct str part, rest = path;
	bool more = true;
	while (more) {
		more = str_cut(rest, '/', &part, &rest);
		if (part.n == 0 || part.n > NAME_BYTES ||
		    str_eq(part, STR(".")) || str_eq(part, STR("..")))
			return false;
	}
	return true;
}

bool
dotqmail_path(struct str line, struct str home, struct str *path)
{
	enum { PATH_BYTES = 1024 };
	while (home.n > 1 && home.p[home.n - 1] == '/')
		home.n--;
	if (str_starts(line, STR("./")))
		*path = str_skip(line, 2);
	else if (str_starts(line, home) && line.n > home.n + 1 &&
		 line.p[home.n] == '/')
		*path = str_skip(line, home.n + 1);
	else
		return false;
	return dotqmail_path_is_plain(*path, PATH_BYTES);
}

/* ---- names of files ---- */

/* qmail-local: capitals made small, dots made colons. */
static void
put_safe(struct buf *b, struct str extension)
{
	for (size_t i = 0; i < extension.n; i++) {
		char c = extension.p[i];
		buf_putc(b, c == '.' ? ':' : byte_lower(c));
	}
}

/* Length of the prefix that ends in the dash number `skip` from the end (0: the
 * last one); 0, with *none, when there are not so many. */
static size_t
prefix_before(struct str extension, unsigned skip, bool *none)
{
	size_t n = extension.n;
	for (;;) {
		while (n > 0 && extension.p[n - 1] != '-')
			n--;
		*none = n == 0 && skip > 0;
		if (n == 0 || skip == 0)
			return n;
		skip--;
		n--;
	}
}

bool
dotqmail_name(
    struct buf *b, struct str extension, unsigned try, size_t *matched)
{
	buf_reset(b);
	*matched = extension.n;
	if (str_find(extension, '/') < extension.n ||
	    str_find(extension, '\0') < extension.n)
		return false;
	buf_put(b, STR(".qmail"));
	if (extension.n == 0)
		return try == 0;
	buf_putc(b, '-');
	if (try == 0) {
		put_safe(b, extension);
		return buf_room(b) > 0 && !b->full;
	}
	bool none;
	*matched = prefix_before(extension, try - 1, &none);
	if (none)
		return false;
	put_safe(b, str_head(extension, *matched));
	buf_put(b, STR("default"));
	return buf_room(b) > 0 && !b->full;
}
