/* SPDX-License-Identifier: ISC
 * line: see the header.
 */
#include "users/line.h"

#include <string.h>
#include "common/address.h"
#include "common/privs.h"

void
line_put_key(struct buf *out, struct str address)
{
	char room[LIMIT_ADDRESS + 2];
	struct buf local = BUF_ON(room);
	struct address a = address_split(address);
	address_put_unquoted(&local, a.local);
	if (local.full)
		out->full = true;
	buf_put_lower(out, buf_str(&local));
	if (a.domain.n == 0)
		return;
	if (a.domain.n > 1 && str_ends(a.domain, STR(".")))
		a.domain.n--;
	buf_putc(out, '@');
	buf_put_lower(out, a.domain);
}

const char line_too_long[] = "has over 16384 bytes: make several of it";

const char *
line_strip(struct str raw, struct str *line)
{
	*line = str_trim(raw);
	if (line->n > 0 && line->p[0] == '#')
		*line = STR("");
	if (line->n > LINE_MAX_BYTES)
		return line_too_long;
	if (line->n > 0 && memchr(line->p, '\0', line->n) != NULL)
		return "holds a NUL byte: write it anew";
	return NULL;
}

static bool
is_printable(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return true;
}

bool
line_is_mailbox(struct str s)
{
	struct str part;
	if (s.n > LINE_MAILBOX || !is_printable(s) || str_find(s, ':') < s.n)
		return false;
	for (bool more = true; more;) {
		more = str_cut(s, '/', &part, &s);
		if (part.n == 0 || part.n > LIMIT_DOMAIN || part.p[0] == '.')
			return false;
	}
	return true;
}

/* Takes "NAME=NUMBER" and one of `ends` from the front of *s. */
static bool
take_number(struct str *s, struct str name, char end, uint64_t max)
{
	struct str head;
	uint64_t v;
	if (!str_starts(*s, name) || !str_cut(*s, end, &head, s))
		return false;
	return str_u64(str_skip(head, name.n), max, &v) && v > 0;
}

static bool
is_base64(struct str s, size_t least)
{
	for (size_t i = 0; i < s.n; i++)
		if (!byte_is_alpha(s.p[i]) && !byte_is_digit(s.p[i]) &&
		    s.p[i] != '+' && s.p[i] != '/')
			return false;
	return s.n >= least;
}

/* $argon2id$v=19$m=65536,t=2,p=1$SALT$HASH: the reference implementation's
 * string form.  The cost is bounded, because a login pays it. */
bool
line_is_hash(struct str s)
{
	struct str head = STR("$argon2id$v=19$"), salt;
	if (s.n >= LINE_HASH || !str_starts(s, head))
		return false;
	s = str_skip(s, head.n);
	return take_number(&s, STR("m="), ',', LINE_HASH_MEMORY_KIB) &&
	       take_number(&s, STR("t="), ',', LINE_HASH_PASSES) &&
	       take_number(&s, STR("p="), '$', 8) &&
	       str_cut(s, '$', &salt, &s) && is_base64(salt, 11) &&
	       is_base64(s, 22);
}

/* A user or account name: what useradd makes, and no more. */
static bool
is_name(struct str s)
{
	if (s.n == 0 || s.n > LIMIT_USER || s.p[0] == '-')
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (!byte_is_alpha(c) && !byte_is_digit(c) && c != '.' &&
		    c != '_' && c != '-' && c != '$')
			return false;
	}
	return true;
}

static bool
is_address(struct str s, bool allow_bare)
{
	struct address a;
	return address_parse(s, allow_bare, &a) == ADDRESS_OK;
}

/* @domain, @[192.0.2.1] */
static bool
is_at_domain(struct str s)
{
	if (!str_starts(s, STR("@")))
		return false;
	s = str_skip(s, 1);
	return s.n <= LIMIT_DOMAIN &&
	       (address_is_domain(s) || address_is_literal(s));
}

/* Where the local part ends: 0 when its quotes do not close. */
static size_t
local_end(struct str s)
{
	if (!str_starts(s, STR("\"")))
		return str_find(s, '@') < str_find(s, ':') ? str_find(s, '@')
							   : str_find(s, ':');
	for (size_t i = 1; i < s.n; i++) {
		if (s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			return i + 1;
	}
	return 0;
}

/* Splits off the address at the start of a line, up to the colon behind it
 * (quoted parts and address literals may hold colons). */
static bool
cut_address(struct str line, struct str *address, struct str *rest)
{
	size_t n = local_end(line);
	struct str domain = str_skip(line, n);
	if (n == 0 && !str_starts(line, STR("@")))
		return false;
	if (str_starts(domain, STR("@[")))
		n += str_find(domain, ']');
	struct str tail = str_skip(line, n);
	size_t colon = str_find(tail, ':');
	if (colon == tail.n)
		return false;
	*address = str_trim(str_head(line, n + colon));
	*rest = str_skip(tail, colon + 1);
	return true;
}

const char *
line_user(struct str line, struct line_user *u)
{
	if (!cut_address(line, &u->address, &line) ||
	    !str_cut(line, ':', &u->hash, &u->mailbox))
		return "not address:hash:mailbox: let postern user add write "
		       "it";
	if (!line_is_hash(u->hash))
		return "the hash is not an Argon2id one of bearable cost: let "
		       "postern user passwd make it";
	if (is_name(u->address))
		return u->mailbox.n ? "a system user has no mailbox here"
				    : NULL;
	if (!is_address(u->address, false))
		return "not an address: write it as bob@example.org";
	return line_is_mailbox(u->mailbox)
		   ? NULL
		   : "not a mailbox path: write it as example.org/bob";
}

const char *
line_alias(struct str line, struct line_alias *a)
{
	if (!cut_address(line, &a->address, &a->targets))
		return "not address: target, target: put a colon behind the "
		       "address";
	if (!is_at_domain(a->address) && !is_address(a->address, true))
		return "not an address: write it as bob@example.org";
	a->targets = str_trim(a->targets);
	return a->targets.n
		   ? NULL
		   : "an alias without a target: write one, or remove the line";
}

/* The commas and spaces between targets end one, unless in quotes. */
static size_t
target_end(struct str s)
{
	bool quoted = false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		if (c == '"')
			quoted = !quoted;
		else if (quoted && c == '\\')
			i++;
		else if (!quoted && (c == ',' || c == ' ' || c == '\t'))
			return i;
	}
	return s.n;
}

static const char *
put_target(struct str s, struct str me, struct buf *out)
{
	struct address a;
	if (str_starts(s, STR("|")) || str_starts(s, STR("/")) ||
	    str_starts(s, STR(":")))
		return "programs, files and lists belong into a .qmail: name a "
		       "user who has one";
	if (address_parse(s, true, &a) != ADDRESS_OK)
		return "a target is not an address: write it as "
		       "bob@example.org";
	if (a.domain.n == 0)
		a.domain = me;
	buf_reset(out);
	address_put(out, a);
	return out->full || out->n > LIMIT_ADDRESS ? "a target is too long"
						   : NULL;
}

bool
line_alias_next(
    struct line_alias *a, struct str me, struct buf *target, const char **wrong)
{
	struct str rest = a->targets;
	while (rest.n &&
	       (rest.p[0] == ',' || rest.p[0] == ' ' || rest.p[0] == '\t'))
		rest = str_skip(rest, 1);
	size_t n = target_end(rest);
	struct str one = str_head(rest, n);
	a->targets = str_skip(rest, n);
	if (one.n == 0)
		return false;
	*wrong = put_target(one, me, target);
	return true;
}

const char *
line_relay(struct str line, struct str *address)
{
	*address = str_trim(line);
	if (is_at_domain(*address) || is_address(*address, false))
		return NULL;
	return "not an address or @domain: write bob@example.org or "
	       "@example.org";
}

const char *
line_account(struct str line, struct line_account *a)
{
	struct str rest, uid;
	if (!str_cut(line, ':', &a->name, &rest) ||
	    !str_cut(rest, ':', &uid, &a->home))
		return "not name:uid:home";
	if (!is_name(a->name) || !str_u64(uid, UINT32_MAX, &a->uid))
		return "not a name and a uid";
	if (!privs_is_person((uid_t)a->uid))
		return "not an ordinary user's uid";
	return NULL;
}
