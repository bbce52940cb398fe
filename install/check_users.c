/* SPDX-License-Identifier: ISC
 * check_users: the tables of userd.  Contract in check.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/address.h"
#include "common/control.h"
#include "common/domains.h"
#include "common/io.h"
#include "common/layout.h"
#include "common/limits.h"
#include "common/privs.h"
#include "common/table.h"
#include "install/check.h"
#include "users/line.h"

static struct check *current;
static int users_dir = -1;
static const char *table_name; /* the file that is being read */
static char me_text[CONTROL_LINE_MAX];
static struct buf me;

/* ---- lines ---- */

static struct table *seen;	/* keys of this table -> line */
static struct table *users;	/* keys of the one before it */
static struct domains *domains; /* NULL: they are wrong */
static unsigned number;		/* of the line that is being read */

/* userd takes no table in which an address stands twice. */
static const char *
once(struct str address)
{
	static char said[96];
	char room[LINE_KEY];
	struct buf key = BUF_ON(room);
	struct str first;

	line_put_key(&key, address);
	if (key.full || seen == NULL ||
	    check_first(seen, buf_str(&key), number, &first))
		return NULL;
	(void)snprintf(said, sizeof(said),
	    "line %.*s has this address already: remove one", (int)first.n,
	    first.p);
	return said;
}

/* Of an address at a domain that is not here. */
static void
reach_check(struct str address, enum domain_kind least, const char *where)
{
	struct str domain = address_split(address).domain;
	struct str prepend;

	if (domains == NULL || domain.n == 0)
		return;
	enum domain_kind kind = domains_find(domains, domain, &prepend);
	if (kind != DOMAIN_LOCAL && kind != DOMAIN_VIRTUAL && kind != least)
		check_say(current, CHECK_WARNING, table_name, number,
		    "%.*s is in none of %s, so nothing comes for it: add it "
		    "there",
		    (int)domain.n, domain.p, where);
}

static int mail_dir = -1; /* closed: they are not looked at */
static uid_t mail_owner;

/* One that root restored, say, takes no mail.  It is seldom alone, so we tell
 * once. */
static void
mailbox_check(struct str mailbox)
{
	char room[LINE_MAILBOX + 1];
	struct buf b = BUF_ON(room);
	struct stat st;

	buf_put(&b, mailbox);
	const char *path = buf_cstr(&b);
	if (mail_dir < 0 || path == NULL ||
	    fstatat(mail_dir, path, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    st.st_uid == mail_owner)
		return;
	check_say(current, CHECK_MISTAKE, table_name, number,
	    "the mailbox %s is not posternm's, so no mail goes there: run "
	    "chown -R posternm:posternm %s",
	    path, layout_path(LAYOUT_MAIL));
	io_close(&mail_dir);
}

/* In a one-user suite all belongs to that user. */
static void
mail_open(void)
{
	const struct passwd *pw = getpwnam("posternm");

	if (geteuid() != 0 || pw == NULL)
		return;
	mail_owner = pw->pw_uid;
	mail_dir =
	    open(layout_path(LAYOUT_MAIL), O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static const char *
user_line(struct str line, unsigned at)
{
	struct line_user u;
	const char *wrong = line_user(line, &u);

	number = at;
	if (wrong != NULL)
		return wrong;
	reach_check(u.address, DOMAIN_LOCAL, "locals and virtualdomains");
	if (u.mailbox.n == 0 && privs_find(u.address) == NULL)
		check_say(current, CHECK_WARNING, table_name, number,
		    "there is no system user %.*s: make one (adduser), or "
		    "remove the line",
		    (int)u.address.n, u.address.p);
	if (u.mailbox.n > 0)
		mailbox_check(u.mailbox);
	return once(u.address);
}

/* resolve.h: a user goes before an alias. */
static void
shadow_check(struct str address)
{
	char room[LINE_KEY];
	struct buf key = BUF_ON(room);
	struct str first;

	line_put_key(&key, address);
	if (users != NULL && str_find(address, '@') < address.n &&
	    table_get(users, buf_str(&key), &first))
		check_say(current, CHECK_WARNING, table_name, number,
		    "%.*s is a mail user (users/users:%.*s), who goes before: "
		    "remove the alias, or the user",
		    (int)address.n, address.p, (int)first.n, first.p);
}

static const char *
alias_line(struct str line, unsigned at)
{
	struct line_alias a;
	char text[LIMIT_ADDRESS + 2];
	struct buf target = BUF_ON(text);
	const char *wrong = line_alias(line, &a);

	number = at;
	while (
	    wrong == NULL && line_alias_next(&a, buf_str(&me), &target, &wrong))
		buf_reset(&target);
	if (wrong != NULL)
		return wrong;
	reach_check(a.address, DOMAIN_LOCAL, "locals and virtualdomains");
	shadow_check(a.address);
	return once(a.address);
}

static struct table *relayed; /* domains that relayrcpts names */

static const char *
relay_line(struct str line, unsigned at)
{
	struct str address;
	struct str local;
	struct str domain;
	char text[LIMIT_DOMAIN + 1];
	struct buf key = BUF_ON(text);
	const char *wrong = line_relay(line, &address);

	number = at;
	if (wrong != NULL || !str_rcut(address, '@', &local, &domain))
		return wrong;
	reach_check(address, DOMAIN_RELAYED, "rcpthosts");
	buf_put_lower(&key, domain);
	if (relayed != NULL)
		(void)table_put(relayed, buf_str(&key), STR("")); /* once */
	return NULL;
}

/* Accepting all of a domain that we only relay for is backscatter, so a domain
 * without recipients accepts nobody. */
static const char *
rcpthost_line(void *arg, struct str line, unsigned at)
{
	char text[LIMIT_DOMAIN + 1];
	struct buf key = BUF_ON(text);
	struct str none;

	(void)arg;
	buf_put_lower(&key, line);
	if (line.p[0] == '.' || key.full ||
	    domains_find(domains, buf_str(&key), &none) != DOMAIN_RELAYED ||
	    table_get(relayed, buf_str(&key), &none))
		return NULL;
	check_warning(current, "rcpthosts", at,
	    "users/relayrcpts names no recipient of this domain, so all are "
	    "refused: name them there, or @ and the domain for all");
	return NULL;
}

static void
table_check(const char *name, const char *(*each)(struct str, unsigned))
{
	table_name = name;
	check_table(current, users_dir, name, each);
}

void
check_users(struct check *c, int control_dir)
{
	const char *path = layout_path(LAYOUT_USERS);

	current = c;
	me = BUF_ON(me_text);
	control_on_mistake(check_ignore); /* check_settings has told */
	if (control_line(control_dir, "me", &me) < 0)
		buf_puts(&me, "localhost");
	control_on_mistake(NULL);
	users_dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (users_dir < 0) {
		if (errno != ENOENT) /* check_places has told */
			check_say(c, CHECK_WARNING, path, 0,
			    "the tables were not looked at (%s): look as root",
			    strerror(errno));
		return;
	}
	control_on_mistake(check_ignore);
	domains = domains_load(control_dir);
	seen = table_new();
	mail_open();
	table_check("users/users", user_line);
	io_close(&mail_dir);
	users = seen;
	seen = table_new();
	table_check("users/aliases", alias_line);
	table_free(seen); /* what stands in both is no mistake */
	seen = table_new();
	table_check("users/aliases.imported", alias_line);
	relayed = table_new();
	table_check("users/relayrcpts", relay_line);
	if (domains != NULL && relayed != NULL)
		(void)control_list(
		    control_dir, "rcpthosts", rcpthost_line, NULL);
	control_on_mistake(NULL);
	table_free(relayed);
	table_free(seen);
	table_free(users);
	domains_free(domains);
	io_close(&users_dir);
}
