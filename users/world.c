/* SPDX-License-Identifier: ISC
 * world: contract in world.h.
 */
#include "users/world.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "common/control.h"
#include "common/exitcode.h"
#include "common/io.h"
#include "common/layout.h"
#include "users/accounts.h"
#include "users/edit.h"

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
	else if ((w->accounts = accounts_read()) == NULL)
		code = edit_fail(EXITCODE_TEMPORARY, "out of memory", STR(""));
	io_close(&dirfd);
	return code;
}
