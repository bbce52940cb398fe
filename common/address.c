/* SPDX-License-Identifier: ISC
 * address: mailboxes of RFC 5321, parsed and written.  Pure; used by every role
 * that reads an address from outside.
 */
#include <string.h>
#include "common/address.h"
#include "common/ip.h"
#include "common/limits.h"

/* atext, RFC 5322 3.2.3 */
static bool
is_atext(char c)
{
	static const char specials[] = "!#$%&'*+-/=?^_`{|}~";

	return byte_is_alpha(c) || byte_is_digit(c) ||
	       memchr(specials, c, sizeof(specials) - 1) != NULL;
}

/* Printable ASCII: what may stand in quotes, alone or behind a backslash. */
static bool
is_quotable(char c)
{
	return c >= ' ' && c <= '~';
}

/* Length of the Quoted-string at the start of s, quotes included; 0: none. */
static size_t
quoted_length(struct str s)
{
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] == '"')
			return i + 1;
		if (s.p[i] == '\\')
			i++;
		if (i == s.n || !is_quotable(s.p[i]))
			return 0;
	}
	return 0;
}

/* Length of the Dot-string at the start of s; 0: none. */
static size_t
dot_string_length(struct str s)
{
	bool atom = false; /* the byte before belongs to an atom */
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (is_atext(s.p[i]))
			atom = true;
		else if (s.p[i] == '.' && atom)
			atom = false;
		else
			break;
	}
	return atom ? i : 0;
}

static size_t
local_part_length(struct str s)
{
	if (s.n > 0 && s.p[0] == '"')
		return quoted_length(s);
	return dot_string_length(s);
}

static bool
is_label(struct str s)
{
	if (s.n == 0 || s.n > 63 || s.p[0] == '-' || s.p[s.n - 1] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!byte_is_alpha(s.p[i]) && !byte_is_digit(s.p[i]) &&
		    s.p[i] != '-' && s.p[i] != '_')
			return false;
	return true;
}

/* s without the dot of the root, if it has one */
static struct str
without_final_dot(struct str s)
{
	return str_ends(s, STR(".")) ? str_head(s, s.n - 1) : s;
}

bool
address_is_domain(struct str s)
{
	struct str rest = without_final_dot(s);
	struct str label;
	bool more;

	if (rest.n > LIMIT_DOMAIN)
		return false;
	do {
		more = str_cut(rest, '.', &label, &rest);
		if (!is_label(label))
			return false;
	} while (more);
	return true;
}

bool
address_is_literal(struct str s)
{
	struct ip ip;

	if (s.n < 2 || s.p[0] != '[' || s.p[s.n - 1] != ']')
		return false;
	struct str in = { .p = s.p + 1, .n = s.n - 2 };
	bool six = str_istarts(in, STR("IPv6:"));

	if (six)
		in = str_skip(in, 5);
	bool colon = str_find(in, ':') < in.n;

	return six == colon && ip_parse(in, &ip);
}

enum address_status
address_parse(struct str in, bool allow_bare, struct address *out)
{
	size_t n = local_part_length(in);
	struct str rest = str_skip(in, n);

	if (n == 0)
		return ADDRESS_SYNTAX;
	out->local = str_head(in, n);
	out->domain = str_skip(rest, 1);
	if (rest.n == 0 ? !allow_bare : rest.p[0] != '@')
		return ADDRESS_SYNTAX;
	if (n > LIMIT_LOCAL_PART || in.n > LIMIT_ADDRESS)
		return ADDRESS_TOO_LONG;
	if (rest.n > 0 && !address_is_domain(out->domain) &&
	    !address_is_literal(out->domain))
		return ADDRESS_SYNTAX;
	return ADDRESS_OK;
}

/* The bytes between the quotes; false when local has none. */
static bool
unquote(struct str local, struct str *inside)
{
	if (local.n < 2 || local.p[0] != '"' || local.p[local.n - 1] != '"')
		return false;
	*inside = (struct str){ .p = local.p + 1, .n = local.n - 2 };
	return true;
}

/* The next byte of what stands in quotes, without its backslash. */
static char
next_unescaped(struct str *inside)
{
	size_t skip = inside->p[0] == '\\' && inside->n > 1 ? 1 : 0;
	char c = inside->p[skip];

	*inside = str_skip(*inside, skip + 1);
	return c;
}

void
address_put_unquoted(struct buf *out, struct str local)
{
	struct str inside;

	if (!unquote(local, &inside)) {
		buf_put(out, local);
		return;
	}
	while (inside.n > 0)
		buf_putc(out, next_unescaped(&inside));
}

/* As written or quoted anew, whichever is the plainest form. */
static void
put_local(struct buf *out, struct str local)
{
	char storage[LIMIT_ADDRESS];
	struct buf plain = BUF_ON(storage);
	struct str inside;

	if (!unquote(local, &inside)) {
		buf_put(out, local);
		return;
	}
	address_put_unquoted(&plain, local);
	struct str s = buf_str(&plain);

	if (s.n > 0 && dot_string_length(s) == s.n) {
		buf_put(out, s);
		return;
	}
	buf_putc(out, '"');
	while (inside.n > 0) {
		char c = next_unescaped(&inside);

		if (c == '"' || c == '\\')
			buf_putc(out, '\\');
		buf_putc(out, c);
	}
	buf_putc(out, '"');
}

void
address_put(struct buf *out, struct address a)
{
	put_local(out, a.local);
	if (a.domain.n == 0)
		return;
	buf_putc(out, '@');
	if (str_istarts(a.domain, STR("[IPv6:"))) {
		buf_puts(out, "[IPv6:");
		a.domain = str_skip(a.domain, 6);
	}
	buf_put_lower(out, without_final_dot(a.domain));
}

struct address
address_split(struct str canonical)
{
	struct address a = { .local = canonical };

	/* No domain ends in a quote: this is a bare, quoted local part. */
	if (!str_ends(canonical, STR("\"")))
		str_rcut(canonical, '@', &a.local, &a.domain);
	return a;
}
