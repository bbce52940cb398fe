/* SPDX-License-Identifier: ISC
 * domains: see the header.
 */
#include <errno.h>
#include <stdlib.h>
#include "common/address.h"
#include "common/control.h"
#include "common/domains.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/table.h"

struct domains {
	struct table *ours;    /* domain -> kind letter, prepend */
	struct table *relayed; /* domain -> nothing */
};

enum { KIND_LOCAL = 'L', KIND_VIRTUAL = 'V' };

static const char no_memory[] = "out of memory";

/* The form in which names are kept and sought: lower case, no final dot. */
static struct str
fold(struct str domain, struct buf *out)
{
	if (domain.n > 1 && domain.p[domain.n - 1] == '.')
		domain.n--;
	buf_put_lower(out, domain);
	return buf_str(out);
}

static bool
name_is_good(struct str s)
{
	if (address_is_literal(s))
		return true;
	if (s.n && s.p[0] == '.')
		s = str_skip(s, 1);
	return address_is_domain(s);
}

/* Puts a domain with its value; the first line of a domain counts.  NULL, or
 * what is wrong. */
static const char *
put_domain(struct table *t, struct str domain, struct str value)
{
	char room[LIMIT_DOMAIN + 2];
	struct buf name = BUF_ON(room);
	if (!name_is_good(domain))
		return "not a domain name: write it as example.org";
	struct str key = fold(domain, &name);
	if (name.full)
		return "the domain name is too long: 255 bytes are the most";
	if (table_put(t, key, value) < 0 && errno != EEXIST)
		return no_memory;
	return NULL;
}

static const char *
local_line(void *arg, struct str line, unsigned number)
{
	const struct domains *d = arg;
	(void)number;
	return put_domain(d->ours, str_trim(line), STR("L"));
}

static const char *
relayed_line(void *arg, struct str line, unsigned number)
{
	const struct domains *d = arg;
	(void)number;
	return put_domain(d->relayed, str_trim(line), STR(""));
}

/* domain:prepend.  A literal has colons of its own, so its ] ends it. */
static const char *
virtual_line(void *arg, struct str line, unsigned number)
{
	(void)number;
	struct domains *d = arg;
	struct str domain, prepend;
	line = str_trim(line);
	size_t literal = line.n && line.p[0] == '[' ? str_find(line, ']') : 0;
	str_cut(str_skip(line, literal), ':', &domain, &prepend);
	domain = str_trim(str_head(line, literal + domain.n));
	prepend = str_trim(prepend);
	if (str_find(domain, '@') < domain.n)
		return "user@domain is not taken here: make an alias of it "
		       "(postern alias add)";
	if (!name_is_good(domain))
		return "not a domain name: write it as example.org";
	char room[LIMIT_DOMAIN + 2], kept[CONTROL_LINE_MAX + 2];
	struct buf name = BUF_ON(room), value = BUF_ON(kept);
	struct str key = fold(domain, &name), old;
	buf_putc(&value, KIND_VIRTUAL);
	buf_put(&value, prepend);
	if (name.full || value.full)
		return "the line is too long";
	/* qmail: what is in locals is local. */
	if (table_get(d->ours, key, &old))
		return old.p[0] == KIND_LOCAL || str_eq(old, buf_str(&value))
			   ? NULL
			   : "the domain was listed before, with another user: "
			     "remove one of the lines";
	return table_put(d->ours, key, buf_str(&value)) < 0 ? no_memory : NULL;
}

struct domains *
domains_load(int dirfd)
{
	struct domains *d = calloc(1, sizeof(*d));
	if (!d)
		goto memory;
	d->ours = table_new();
	d->relayed = table_new();
	if (!d->ours || !d->relayed)
		goto memory;
	/* all three, so that every mistake is told */
	int wrong = control_list(dirfd, "locals", local_line, d);
	wrong |= control_list(dirfd, "virtualdomains", virtual_line, d);
	wrong |= control_list(dirfd, "rcpthosts", relayed_line, d);
	if (wrong == 0)
		return d;
	domains_free(d);
	return NULL;
memory:
	LOG(ERROR, "config-error", F_TEXT("error", no_memory));
	domains_free(d);
	return NULL;
}

void
domains_free(struct domains *d)
{
	if (!d)
		return;
	table_free(d->ours);
	table_free(d->relayed);
	free(d);
}

/* The entry of the name itself, else of the nearest .parent. */
static bool
find_nearest(const struct table *t, struct str name, struct str *value)
{
	if (table_count(t) == 0)
		return false;
	if (table_get(t, name, value))
		return true;
	if (name.n && name.p[0] == '[')
		return false;
	while (name.n) {
		name = str_skip(name, 1);
		name = str_skip(name, str_find(name, '.'));
		if (name.n && table_get(t, name, value))
			return true;
	}
	return false;
}

enum domain_kind
domains_find(const struct domains *d, struct str domain, struct str *prepend)
{
	char room[LIMIT_DOMAIN + 2];
	struct buf name = BUF_ON(room);
	struct str key = fold(domain, &name), value;
	*prepend = STR("");
	if (name.full || key.n == 0 || key.p[0] == '.')
		return DOMAIN_FOREIGN;
	if (find_nearest(d->ours, key, &value)) {
		if (value.p[0] == KIND_LOCAL)
			return DOMAIN_LOCAL;
		*prepend = str_skip(value, 1);
		return DOMAIN_VIRTUAL;
	}
	return find_nearest(d->relayed, key, &value) ? DOMAIN_RELAYED
						     : DOMAIN_FOREIGN;
}

bool
domains_has(const struct domains *d, struct str address)
{
	struct str prepend;
	struct address a = address_split(address);
	return domains_find(d, a.domain, &prepend) != DOMAIN_FOREIGN;
}
