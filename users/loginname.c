/* SPDX-License-Identifier: ISC
 * loginname: contract in loginname.h.
 */
#include "users/loginname.h"

#include "users/line.h"

/* A system user's mail password; only while the account exists. */
static bool
login_system(const struct tables *t, const struct table *accounts,
    struct str key, struct login *out)
{
	struct str value, user;
	if (str_find(key, '@') < key.n || !accounts ||
	    !table_get(t->users, key, &value) ||
	    !table_get(accounts, key, &user))
		return false;
	str_cut(value, ':', &out->hash, &out->mailbox);
	out->mailbox = STR("Maildir");
	out->name = user;
	out->system = out->found = true;
	return true;
}

/* The only virtual user with this local part, unless there is a system user
 * of that name too. */
static bool
login_bare(const struct tables *t, const struct table *accounts,
    struct str *key, struct login *out)
{
	struct str full, none;
	bool virtual = table_get(t->bare, *key, &full);
	bool twice = table_get(t->twice, *key, &none);
	if (!twice && !virtual)
		(void)login_system(t, accounts, *key, out);
	if (twice || !virtual)
		return false;
	if (login_system(t, accounts, *key, out)) {
		out->found = out->system = false;
		return false;
	}
	*key = full;
	return true;
}

/* A system user's address in one of control/locals is as good as his name. */
static void
login_by_address(const struct tables *t, const struct table *accounts,
    struct str key, struct login *out)
{
	struct str local, domain, prepend;
	if (str_rcut(key, '@', &local, &domain) &&
	    domains_find(t->domains, domain, &prepend) == DOMAIN_LOCAL)
		(void)login_system(t, accounts, local, out);
}

void
loginname_find(const struct tables *t, const struct table *accounts,
    struct str user, struct login *out)
{
	struct str value;
	struct buf name = BUF_ON(out->room);
	out->found = out->system = false;
	line_put_key(&name, user);
	struct str key = buf_str(&name);
	if (name.full || key.n == 0)
		return;
	if (str_find(key, '@') == key.n && !login_bare(t, accounts, &key, out))
		return;
	if (!table_get(t->users, key, &value)) {
		login_by_address(t, accounts, key, out);
		return;
	}
	str_cut(value, ':', &out->hash, &out->mailbox);
	out->found = true;
	out->name = key;
}
