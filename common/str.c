/* SPDX-License-Identifier: ISC
 * str: contract in str.h.  Pure.
 */
#include "common/str.h"

#include <string.h>

struct str
str_of(const char *cstr)
{
	if (cstr == NULL)
		return (struct str){ .p = "", .n = 0 };
	return (struct str){ .p = cstr, .n = strlen(cstr) };
}

bool
str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

char
byte_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool
byte_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

bool
byte_is_alpha(char c)
{
	char l = byte_lower(c);
	return l >= 'a' && l <= 'z';
}

bool
str_ieq(struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if (byte_lower(a.p[i]) != byte_lower(b.p[i]))
			return false;
	return true;
}

bool
str_starts(struct str s, struct str prefix)
{
	return str_eq(str_head(s, prefix.n), prefix);
}

bool
str_istarts(struct str s, struct str prefix)
{
	return str_ieq(str_head(s, prefix.n), prefix);
}

bool
str_ends(struct str s, struct str suffix)
{
	return s.n >= suffix.n && str_eq(str_skip(s, s.n - suffix.n), suffix);
}

int
str_cmp(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n == 0 ? 0 : memcmp(a.p, b.p, n);
	if (c != 0)
		return c;
	return (a.n > b.n) - (a.n < b.n);
}

struct str
str_skip(struct str s, size_t n)
{
	if (n >= s.n)
		return (struct str){ .p = "", .n = 0 };
	return (struct str){ .p = s.p + n, .n = s.n - n };
}

struct str
str_head(struct str s, size_t n)
{
	return (struct str){ .p = s.p, .n = n < s.n ? n : s.n };
}

size_t
str_find(struct str s, char c)
{
	const char *at = s.n == 0 ? NULL : memchr(s.p, c, s.n);
	return at == NULL ? s.n : (size_t)(at - s.p);
}

static bool
cut_at(struct str s, size_t at, struct str *head, struct str *tail)
{
	*head = str_head(s, at);
	*tail = str_skip(s, at + 1);
	return at < s.n;
}

bool
str_cut(struct str s, char c, struct str *head, struct str *tail)
{
	return cut_at(s, str_find(s, c), head, tail);
}

bool
str_rcut(struct str s, char c, struct str *head, struct str *tail)
{
	const char *at = s.n == 0 ? NULL : memrchr(s.p, c, s.n);
	return cut_at(s, at == NULL ? s.n : (size_t)(at - s.p), head, tail);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str
str_trim(struct str s)
{
	while (s.n > 0 && is_blank(s.p[0]))
		s = str_skip(s, 1);
	while (s.n > 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

struct str
str_word(struct str *rest)
{
	size_t n = 0;
	*rest = str_trim(*rest);
	while (n < rest->n && rest->p[n] != ' ' && rest->p[n] != '\t')
		n++;
	struct str word = str_head(*rest, n);
	*rest = str_skip(*rest, n);
	return word;
}

bool
str_line(struct str *rest, struct str *line)
{
	if (rest->n == 0)
		return false;
	str_cut(*rest, '\n', line, rest);
	return true;
}

bool
str_u64(struct str s, uint64_t max, uint64_t *v)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < s.n; i++) {
		if (!byte_is_digit(s.p[i]))
			return false;
		uint64_t digit = (uint64_t)(s.p[i] - '0');
		if (__builtin_mul_overflow(sum, 10, &sum) ||
		    __builtin_add_overflow(sum, digit, &sum) || sum > max)
			return false;
	}
	if (s.n == 0)
		return false;
	*v = sum;
	return true;
}

bool
str_hex64(struct str s, uint64_t *v)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		unsigned digit;
		if (byte_is_digit(c))
			digit = (unsigned)(c - '0');
		else if (c >= 'a' && c <= 'f')
			digit = (unsigned)(c - 'a') + 10;
		else
			return false;
		sum = sum << 4 | digit;
	}
	if (s.n != 16)
		return false;
	*v = sum;
	return true;
}
