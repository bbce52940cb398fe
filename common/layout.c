/* SPDX-License-Identifier: ISC
 * layout: contract in layout.h.
 */
#include "common/layout.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "common/die.h"

enum { PATH_ROOM = 512 };

static const char *const places[] = {
	[LAYOUT_CONTROL] = "/etc/postern",
	[LAYOUT_USERS] = "/etc/postern/users",
	[LAYOUT_SPOOL] = "/var/spool/postern",
	[LAYOUT_RUN] = "/run/postern",
	[LAYOUT_MAIL] = "/var/mail/postern",
	[LAYOUT_LOG] = "/var/log/postern",
	[LAYOUT_DROP] = "/var/spool/postern-drop",
	[LAYOUT_DROP_NEW] = "/var/spool/postern-drop/new",
};

static char paths[N_ELEMENTS(places)][PATH_ROOM];

void
layout_init(void)
{
	struct str root = str_of(getenv("POSTERN_ROOT"));
	while (root.n > 0 && root.p[root.n - 1] == '/')
		root.n--;
	if (root.n > 0 && root.p[0] != '/')
		die(EXITCODE_PERMANENT,
		    "POSTERN_ROOT must begin with /: write the whole path", 0);
	for (size_t i = 0; i < N_ELEMENTS(places); i++) {
		struct buf b = BUF_ON(paths[i]);
		buf_put(&b, root);
		buf_puts(&b, places[i]);
		if (buf_cstr(&b) == NULL)
			die(EXITCODE_PERMANENT, "POSTERN_ROOT is too long", 0);
	}
}

const char *
layout_path(enum layout_place place)
{
	return paths[place];
}

const char *
layout_file(enum layout_place place, const char *name, struct buf *b)
{
	buf_reset(b);
	buf_puts(b, paths[place]);
	buf_putc(b, '/');
	buf_puts(b, name);
	const char *path = buf_cstr(b);
	if (path == NULL)
		die(EXITCODE_PERMANENT, "a path is too long", 0);
	return path;
}

const char *
layout_program(const char *name, struct buf *b)
{
	buf_reset(b);
	ssize_t n = readlink("/proc/self/exe", b->p, b->cap);
	if (n <= 0 || (size_t)n >= b->cap)
		die(EXITCODE_TEMPORARY, "cannot read /proc/self/exe", errno);
	buf_grew(b, (size_t)n);
	struct str dir;
	struct str base;
	str_rcut(buf_str(b), '/', &dir, &base);
	buf_cut(b, dir.n + 1);
	buf_puts(b, name);
	const char *path = buf_cstr(b);
	if (path == NULL)
		die(EXITCODE_TEMPORARY, "a program's path is too long", 0);
	return path;
}
