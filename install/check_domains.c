/* SPDX-License-Identifier: ISC
 * check_domains: locals, virtualdomains, rcpthosts and smtproutes beside each
 * other.  Contract in check.h.  Lines that are no domain at all are left to
 * check_settings.
 */
#include <string.h>
#include "common/address.h"
#include "common/control.h"
#include "common/limits.h"
#include "common/privs.h"
#include "common/table.h"
#include "install/check.h"
#include "send/route.h"

static struct check *current;
static struct table *locals, *virtuals, *relayed, *routed;
static const char *file; /* that is being read */

/* Lower case, no final dot.  False: no domain, or too long. */
static bool
fold(struct str domain, struct buf *key)
{
	struct str name = domain;

	if (name.n > 1 && name.p[0] == '.')
		name = str_skip(name, 1);
	if (!address_is_domain(name) && !address_is_literal(name))
		return false;
	if (domain.n > 1 && domain.p[domain.n - 1] == '.')
		domain.n--;
	buf_put_lower(key, domain);
	return !key->full;
}

static bool
has(const struct table *t, struct str key)
{
	struct str value;

	return table_get(t, key, &value);
}

/* Once in its own file? */
static void
once(struct table *t, struct str key, unsigned number)
{
	struct str first;

	if (!check_first(t, key, number, &first))
		check_say(current, CHECK_WARNING, file, number,
		    "%.*s stands in line %.*s already: remove one", (int)key.n,
		    key.p, (int)first.n, first.p);
}

static const char *
local_line(void *arg, struct str line, unsigned number)
{
	char room[LIMIT_DOMAIN + 2];
	struct buf key = BUF_ON(room);

	(void)arg;
	if (fold(str_trim(line), &key))
		once(locals, buf_str(&key), number);
	return NULL;
}

/* domain:user gives all of a domain to a system user. */
static void
owner_check(struct str user, unsigned number)
{
	const struct passwd *pw = privs_find(user);

	if (user.n == 0)
		return;
	if (pw == NULL)
		check_say(current, CHECK_MISTAKE, file, number,
		    "there is no system user %.*s: make one (adduser), or "
		    "write the domain alone",
		    (int)user.n, user.p);
	else if (!privs_is_person(pw->pw_uid))
		check_say(current, CHECK_MISTAKE, file, number,
		    "%s is a user of the system's own, and gets no mail: name "
		    "a person",
		    pw->pw_name);
}

static const char *
virtual_line(void *arg, struct str line, unsigned number)
{
	char room[LIMIT_DOMAIN + 2];
	struct buf key = BUF_ON(room);
	struct str domain;
	struct str user;
	size_t literal = line.p[0] == '[' ? str_find(line, ']') : 0;

	(void)arg;
	str_cut(str_skip(line, literal), ':', &domain, &user);
	if (!fold(str_trim(str_head(line, literal + domain.n)), &key))
		return NULL;
	if (has(locals, buf_str(&key)))
		check_say(current, CHECK_MISTAKE, file, number,
		    "%.*s is in locals too, which wins: take it out of one of "
		    "them",
		    (int)key.n, key.p);
	once(virtuals, buf_str(&key), number);
	owner_check(str_trim(user), number);
	return NULL;
}

static const char *
relayed_line(void *arg, struct str line, unsigned number)
{
	char room[LIMIT_DOMAIN + 2];
	struct buf key = BUF_ON(room);

	(void)arg;
	if (fold(str_trim(line), &key))
		once(relayed, buf_str(&key), number);
	return NULL;
}

static const char *
route_line(void *arg, struct str line, unsigned number)
{
	char room[LIMIT_DOMAIN + 2];
	struct buf key = BUF_ON(room);
	struct route r;
	struct str first;

	(void)arg;
	if (route_parse(line, &r) != NULL)
		return NULL;
	buf_put_lower(&key, r.domain);
	if (key.full)
		return NULL;
	if (has(locals, buf_str(&key)) || has(virtuals, buf_str(&key)))
		check_say(current, CHECK_WARNING, file, number,
		    "mail for %.*s stays here (it is in %s), so the line does "
		    "nothing: remove it, or move the domain to rcpthosts",
		    (int)key.n, key.p,
		    has(locals, buf_str(&key)) ? "locals" : "virtualdomains");
	if (!check_first(routed, buf_str(&key), number, &first))
		check_say(current, CHECK_WARNING, file, number,
		    "replaces line %.*s, which is for the same domain: remove "
		    "one",
		    (int)first.n, first.p);
	return NULL;
}

static void
read_all(int dir)
{
	static const struct {
		const char *name;
		const char *(*line)(void *, struct str, unsigned);
	} lists[] = {
		{ "locals", local_line },
		{ "virtualdomains", virtual_line },
		{ "rcpthosts", relayed_line },
		{ "smtproutes", route_line },
	};

	for (size_t i = 0; i < N_ELEMENTS(lists); i++) {
		file = lists[i].name;
		(void)control_list(dir, file, lists[i].line, NULL);
	}
}

void
check_domains(struct check *c, int dir)
{
	current = c;
	locals = table_new();
	virtuals = table_new();
	relayed = table_new();
	routed = table_new();
	control_on_mistake(check_ignore);
	if (locals != NULL && virtuals != NULL && relayed != NULL &&
	    routed != NULL)
		read_all(dir);
	else
		check_mistake(c, "locals", 0, "out of memory: not checked");
	control_on_mistake(NULL);
	table_free(locals);
	table_free(virtuals);
	table_free(relayed);
	table_free(routed);
}
