/* SPDX-License-Identifier: ISC
 * world: contract in world.h.
 */
#include "users/world.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>
#include "common/control.h"
#include "common/exitcode.h"
#include "common/io.h"
#include "common/layout.h"
#include "users/edit.h"

enum { FIRST_UID = 1000, NOBODY_UID = 65534 };

bool
world_is_person(uid_t uid)
{
	return uid >= FIRST_UID && uid != NOBODY_UID;
}

/* As postern-start's snapshot: people's accounts; in a suite of one user only
 * that one. */
static int
load_accounts(struct world *w)
{
	const struct passwd *pw;
	int r = 0;

	w->accounts = table_new();
	if (w->accounts == NULL)
		return -1;
	setpwent();
	while (r == 0 && (pw = getpwent()) != NULL) {
		char room[LIMIT_USER + 1];
		struct buf key = BUF_ON(room);

		if (!world_is_person(pw->pw_uid) ||
		    (geteuid() != 0 && pw->pw_uid != geteuid()))
			continue;
		buf_put_lower(&key, str_of(pw->pw_name));
		if (!key.full)
			r = table_put(
			    w->accounts, buf_str(&key), str_of(pw->pw_name));
		if (r < 0 && errno == EEXIST)
			r = 0;
	}
	endpwent();
	return r;
}

static const char *
first_local(void *arg, struct str line, unsigned number)
{
	struct buf *domain = arg;

	(void)number;
	if (domain->n == 0)
		buf_put_lower(domain, str_trim(line));
	return NULL;
}

static bool
choose_domain(struct world *w, int control_dirfd)
{
	struct buf domain = BUF_ON(w->domain_room);
	struct str none;

	if (domains_find(w->tables->domains, w->tables->me, &none) ==
	    DOMAIN_LOCAL)
		buf_put(&domain, w->tables->me);
	else if (control_list(control_dirfd, "locals", first_local, &domain) <
		 0)
		return false;
	w->domain = buf_str(&domain);
	return domain.n > 0 && !domain.full;
}

int
world_load(struct world *w, int usersdir)
{
	char room[TABLES_ERROR];
	struct buf wrong = BUF_ON(room);
	int dirfd = open(
	    layout_path(LAYOUT_CONTROL), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int code = 0;

	if (dirfd < 0)
		return edit_fail(EXITCODE_TEMPORARY,
		    layout_path(LAYOUT_CONTROL), str_of(strerror(errno)));
	w->tables = tables_load(dirfd, usersdir, &wrong);
	if (w->tables == NULL)
		code = edit_fail(EXITCODE_PERMANENT,
		    "the tables are wrong (see `postern check`)",
		    buf_str(&wrong));
	else if (!choose_domain(w, dirfd))
		code = edit_fail(EXITCODE_PERMANENT,
		    "control/locals names no domain that aliases could be in",
		    STR(""));
	else if (load_accounts(w) < 0)
		code = edit_fail(EXITCODE_TEMPORARY, "out of memory", STR(""));
	io_close(&dirfd);
	return code;
}
