/* SPDX-License-Identifier: ISC
 * logline: contract in logline.h.  Pure.
 */
#include "install/logline.h"

#include <string.h>

/* Takes " key=value" off *rest.  False: no such thing there. */
static bool
next_field(struct str *rest, struct logline_field *f)
{
	struct str s = *rest;

	while (s.n > 0 && s.p[0] == ' ')
		s = str_skip(s, 1);
	size_t n = str_find(s, '=');
	if (n == 0 || n == s.n || str_find(str_head(s, n), ' ') < n)
		return false;
	f->key = str_head(s, n);
	s = str_skip(s, n + 1);
	if (s.n > 0 && s.p[0] == '"') {
		/* a quote inside is written as an escape */
		s = str_skip(s, 1);
		n = str_find(s, '"');
		if (n == s.n)
			return false;
		f->value = str_head(s, n);
		*rest = str_skip(s, n + 1);
		return rest->n == 0 || rest->p[0] == ' ';
	}
	n = str_find(s, ' ');
	f->value = str_head(s, n);
	*rest = str_skip(s, n);
	return true;
}

bool
logline_read(struct str line, struct logline *l)
{
	static const struct str start = { .p = "t=", .n = 2 };
	struct str *const heads[] = { &l->t, &l->level, &l->role, &l->event };
	static const struct str names[] = { { "t", 1 }, { "level", 5 },
		{ "role", 4 }, { "event", 5 } };
	struct logline_field f;

	l->count = 0;
	while (!str_starts(line, start)) {
		size_t space = str_find(line, ' ');
		if (space == line.n)
			return false;
		line = str_skip(line, space + 1);
	}
	for (size_t i = 0; i < N_ELEMENTS(heads); i++) {
		if (!next_field(&line, &f) || !str_eq(f.key, names[i]))
			return false;
		*heads[i] = f.value;
	}
	while (line.n > 0) {
		if (!next_field(&line, &f))
			return false;
		if (l->count < LOGLINE_FIELDS)
			l->field[l->count++] = f;
	}
	return true;
}

struct str
logline_value(const struct logline *l, struct str key)
{
	for (size_t i = 0; i < l->count; i++)
		if (str_eq(l->field[i].key, key))
			return l->field[i].value;
	return STR("");
}

/* An odd number of quotes from `from` up to `to`? */
static bool
odd_quotes(const char *from, const char *to)
{
	bool odd = false;

	while ((from = memchr(from, '"', (size_t)(to - from))) != NULL) {
		odd = !odd;
		from++;
	}
	return odd;
}

struct str
logline_find(struct str line, struct str key)
{
	const char *at = line.p;
	const char *end = line.p + line.n;
	const char *counted = line.p; /* the quotes up to here */
	bool quoted = false; /* there a stranger writes anything but a quote */

	while (at < end) {
		at = memmem(at, (size_t)(end - at), key.p, key.n);
		if (at == NULL)
			break;
		const char *value = at + key.n;
		quoted = quoted != odd_quotes(counted, at);
		counted = at;
		if (at > line.p && at[-1] == ' ' && !quoted) {
			struct str s = { .p = value,
				.n = (size_t)(end - value) };
			return str_head(s, str_find(s, ' '));
		}
		at = value;
	}
	return STR("");
}

static int
hex_digit(char c)
{
	if (byte_is_digit(c))
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void
logline_unescape(struct buf *b, struct str v)
{
	while (v.n > 0) {
		int high = v.n >= 4 ? hex_digit(v.p[2]) : -1;
		int low = v.n >= 4 ? hex_digit(v.p[3]) : -1;
		bool escape = v.p[0] == '\\' && v.n >= 4 && v.p[1] == 'x' &&
			      high >= 0 && low >= 0;
		int c = escape ? high << 4 | low : v.p[0];
		buf_putc(b, (char)c);
		v = str_skip(v, escape ? 4 : 1);
	}
}
