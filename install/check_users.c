/* SPDX-License-Identifier: ISC
 * check_users: the tables of userd.  Contract in check.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/control.h"
#include "common/domains.h"
#include "common/io.h"
#include "common/layout.h"
#include "common/limits.h"
#include "common/table.h"
#include "install/check.h"
#include "users/line.h"

enum { TABLE_MAX = 1 << 30 };

static struct check *current;
static int users_dir = -1;
static const char *table_name; /* the file that is being read */
static char me_text[CONTROL_LINE_MAX];
static struct buf me;

/* ---- lines ---- */

static const char *
user_line(struct str line)
{
	struct line_user u;

	return line_user(line, &u);
}

static const char *
alias_line(struct str line)
{
	struct line_alias a;
	char text[LIMIT_ADDRESS + 2];
	struct buf target = BUF_ON(text);
	const char *wrong = line_alias(line, &a);

	while (
	    wrong == NULL && line_alias_next(&a, buf_str(&me), &target, &wrong))
		buf_reset(&target);
	return wrong;
}

static struct table *relayed; /* domains that relayrcpts names */

static const char *
relay_line(struct str line)
{
	struct str address;
	struct str local;
	struct str domain;
	char text[LIMIT_DOMAIN + 1];
	struct buf key = BUF_ON(text);
	const char *wrong = line_relay(line, &address);

	if (wrong != NULL || !str_rcut(address, '@', &local, &domain))
		return wrong;
	buf_put_lower(&key, domain);
	if (relayed != NULL)
		(void)table_put(relayed, buf_str(&key), STR("")); /* once */
	return NULL;
}

/* Accepting all of a domain that we only relay for is backscatter, so a domain
 * without recipients accepts nobody. */
static const char *
rcpthost_line(void *arg, struct str line, unsigned number)
{
	const struct domains *domains = arg;
	char text[LIMIT_DOMAIN + 1];
	struct buf key = BUF_ON(text);
	struct str none;

	buf_put_lower(&key, line);
	if (line.p[0] == '.' || key.full ||
	    domains_find(domains, buf_str(&key), &none) != DOMAIN_RELAYED ||
	    table_get(relayed, buf_str(&key), &none))
		return NULL;
	check_warning(current, "rcpthosts", number,
	    "users/relayrcpts names no recipient of this domain: all are "
	    "refused");
	return NULL;
}

static void
relayed_check(int control_dir)
{
	struct domains *domains = domains_load(control_dir);

	if (domains != NULL && relayed != NULL)
		(void)control_list(
		    control_dir, "rcpthosts", rcpthost_line, domains);
	domains_free(domains);
}

static void
lines_check(struct check *c, const char *(*check)(struct str), struct str rest)
{
	struct str line;

	for (unsigned number = 1; str_line(&rest, &line); number++) {
		line = str_trim(line);
		if (line.n == 0 || line.p[0] == '#')
			continue;
		const char *wrong = line.n > LINE_MAX_BYTES
					? "the line is too long"
					: check(line);
		if (wrong != NULL)
			check_mistake(c, table_name, number, wrong);
	}
}

static void
table_check(struct check *c, const char *name, const char *file,
    const char *(*check)(struct str))
{
	struct stat st;

	table_name = name;
	if (fstatat(users_dir, file, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			check_mistake(c, name, 0, strerror(errno));
		return;
	}
	if ((st.st_mode & 0007) != 0)
		check_mistake(c, name, 0,
		    "others must have no access: it holds password hashes");
	if (!S_ISREG(st.st_mode) || st.st_size > TABLE_MAX) {
		check_mistake(c, name, 0, "is not a plain file of sane size");
		return;
	}
	size_t size = (size_t)st.st_size + 1;
	char *text = malloc(size);
	int64_t n =
	    text == NULL ? -1 : io_read_file(users_dir, file, text, size);
	if (n < 0)
		check_mistake(c, name, 0, strerror(errno));
	else
		lines_check(
		    c, check, (struct str){ .p = text, .n = (size_t)n });
	free(text);
}

void
check_users(struct check *c, int control_dir)
{
	const char *path = layout_path(LAYOUT_USERS);

	current = c;
	me = BUF_ON(me_text);
	if (control_line(control_dir, "me", &me) < 0)
		buf_puts(&me, "localhost"); /* check_settings has told */
	users_dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (users_dir < 0) {
		if (errno != ENOENT) /* check_places has told */
			check_mistake(c, path, 0, strerror(errno));
		return;
	}
	table_check(c, "users/users", "users", user_line);
	table_check(c, "users/aliases", "aliases", alias_line);
	relayed = table_new();
	table_check(c, "users/relayrcpts", "relayrcpts", relay_line);
	control_on_mistake(check_ignore);
	relayed_check(control_dir);
	control_on_mistake(NULL);
	table_free(relayed);
	io_close(&users_dir);
}
