/* SPDX-License-Identifier: ISC
 * rolesfile: run/roles, for `postern status`, scripts and tests.  Replaced as a
 * whole; not synced, since it means nothing after a crash.
 */
#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>
#include "common/io.h"
#include "common/log.h"
#include "start/family.h"

static const char *const state_names[] = {
	[FAMILY_DOWN] = "down",
	[FAMILY_STARTING] = "starting",
	[FAMILY_READY] = "ready",
};

static void
row_put(struct buf *b, const char *name, pid_t pid, const char *user,
    unsigned restarts, const char *state, int64_t since, unsigned landlock)
{
	buf_puts(b, name);
	buf_putc(b, ' ');
	buf_put_u64(b, (uint64_t)pid);
	buf_putc(b, ' ');
	buf_puts(b, user);
	buf_putc(b, ' ');
	buf_put_u64(b, restarts);
	buf_putc(b, ' ');
	buf_puts(b, state);
	buf_putc(b, ' ');
	buf_put_u64(b, (uint64_t)since);
	buf_putc(b, ' ');
	buf_put_u64(b, landlock);
	buf_putc(b, '\n');
}

void
rolesfile_write(const struct family *f)
{
	static int64_t start_since;
	static char own[64];
	char text[4096];
	struct buf b = BUF_ON(text);

	if (start_since == 0) {
		const struct passwd *pw = getpwuid(getuid());
		struct buf name = BUF_ON(own);
		buf_puts(&name, pw == NULL ? "-" : pw->pw_name);
		if (buf_cstr(&name) == NULL)
			own[0] = '-', own[1] = '\0';
		start_since = f->roles[0].since;
	}
	row_put(&b, "start", getpid(), own, 0,
	    f->stopping ? "stopping" : "ready", start_since, 0);
	for (size_t i = 0; i < f->count; i++) {
		const struct child *c = &f->roles[i];
		if (c->unwanted && c->pid == 0)
			continue;
		row_put(&b, c->plan->name, c->pid,
		    f->one_user ? own : c->plan->user, c->restarts,
		    state_names[c->state], c->since, c->landlock);
	}
	if (b.full ||
	    io_swap_file(f->run_dirfd, "roles", buf_str(&b), 0644) < 0)
		LOG(ERROR, "roles-file", F_ERRNO(errno));
}
