/* SPDX-License-Identifier: ISC
 * check_addresses: do postmaster and abuse arrive, and where do aliases lead?
 * Asked of the rules that userd has (users/resolve.h), with the files as they
 * are now: so it is known before the first start.  Contract in check.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "common/address.h"
#include "common/control.h"
#include "common/io.h"
#include "common/layout.h"
#include "common/limits.h"
#include "install/check.h"
#include "users/accounts.h"
#include "users/line.h"
#include "users/resolve.h"

static struct check *current;
static const char *table_name; /* that is being read, below users/ */
static struct tables *tables;
static struct table *accounts;

/* ---- postmaster and abuse ---- */

static enum resolve_kind
kind_of(struct str address)
{
	struct resolved r;

	resolve(tables, accounts, address, &r, NULL);
	return r.kind;
}

static enum resolve_kind
kind_at(struct str local, struct str domain)
{
	char text[LIMIT_ADDRESS + 32];
	struct buf address = BUF_ON(text);

	buf_put(&address, local);
	buf_putc(&address, '@');
	buf_put_lower(&address, domain);
	return address.full ? RESOLVE_SYNTAX : kind_of(buf_str(&address));
}

static bool
arrives(enum resolve_kind kind)
{
	return kind == RESOLVE_VIRTUAL || kind == RESOLVE_SYSTEM ||
	       kind == RESOLVE_ALIAS;
}

static const char *
domain_ask(void *arg, struct str line, unsigned number)
{
	const char *file = arg;
	struct str domain;
	struct str user;

	str_cut(line, ':', &domain, &user);
	if (domain.n == 0 || domain.p[0] == '.' || domain.p[0] == '[')
		return NULL;
	if (!arrives(kind_at(STR("postmaster"), domain)))
		check_mistake(current, file, number,
		    "postmaster of this domain has no mailbox (RFC 5321 "
		    "4.5.1): name one in control/postmaster");
	if (!arrives(kind_at(STR("abuse"), domain)))
		check_mistake(current, file, number,
		    "abuse of this domain is not accepted (RFC 2142): name a "
		    "mailbox in control/postmaster, or add an alias");
	return NULL;
}

/* ---- aliases ---- */

static bool
is_refused(enum resolve_kind kind)
{
	return kind == RESOLVE_UNKNOWN || kind == RESOLVE_LOOP ||
	       kind == RESOLVE_SYNTAX || kind == RESOLVE_NOBODY;
}

static void
complain(
    unsigned number, const char *what, struct str address, enum resolve_kind k)
{
	check_say(current, CHECK_WARNING, table_name, number, "%s%.*s: %s",
	    what, (int)address.n, address.p, resolve_text(k));
}

/* One line: is the alias good, and is each of its targets? */
static const char *
alias_ask(struct str line, unsigned number)
{
	struct line_alias a;
	char text[LIMIT_ADDRESS + 2];
	struct buf target = BUF_ON(text);
	const char *wrong = line_alias(line, &a);
	struct address parts;
	enum resolve_kind k;

	if (wrong != NULL)
		return NULL; /* check_users has told */
	/* @domain is no address, and a bare name is one at each of our domains
	 */
	if (address_parse(a.address, true, &parts) == ADDRESS_OK &&
	    parts.domain.n > 0) {
		address_put(&target, parts);
		k = kind_of(buf_str(&target));
		if (is_refused(k)) {
			complain(number, "refused, ", buf_str(&target), k);
			return NULL;
		}
	}
	while (line_alias_next(&a, tables->me, &target, &wrong)) {
		k = wrong == NULL ? kind_of(buf_str(&target)) : RESOLVE_ALIAS;
		if (is_refused(k))
			complain(number, "its target ", buf_str(&target), k);
		buf_reset(&target);
	}
	return NULL;
}

static void
ask_all(int control_dir, int users_dir)
{
	static char locals[] = "locals";
	static char virtualdomains[] = "virtualdomains";

	(void)control_list(control_dir, locals, domain_ask, locals);
	(void)control_list(
	    control_dir, virtualdomains, domain_ask, virtualdomains);
	table_name = "users/aliases";
	check_table(current, users_dir, table_name, alias_ask);
	table_name = "users/aliases.imported";
	check_table(current, users_dir, table_name, alias_ask);
}

void
check_addresses(struct check *c, int control_dir)
{
	const char *path = layout_path(LAYOUT_USERS);
	char wrong_text[TABLES_ERROR];
	struct buf wrong = BUF_ON(wrong_text);
	int users_dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	current = c;
	if (users_dir < 0) {
		check_say(c, CHECK_WARNING, path, 0,
		    "not known whether postmaster and abuse arrive: %s",
		    errno == EACCES ? "look as root" : "run postern init");
		return;
	}
	control_on_mistake(check_ignore);
	tables = tables_load(control_dir, users_dir, &wrong);
	accounts = accounts_read();
	if (tables != NULL && accounts != NULL)
		ask_all(control_dir, users_dir);
	else
		check_warning(c, path, 0,
		    "not known whether postmaster and abuse arrive: mend the "
		    "mistakes in the tables, domains and postmaster first");
	control_on_mistake(NULL);
	table_free(accounts);
	tables_free(tables);
	io_close(&users_dir);
}
