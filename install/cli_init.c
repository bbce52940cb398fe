/* SPDX-License-Identifier: ISC
 * `postern init`: makes the directories of a suite, and control/me.  Runs as
 * root, or as the one user of the suite.  Done twice it changes nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/advice.h"
#include "common/control.h"
#include "common/exitcode.h"
#include "common/io.h"
#include "common/privs.h"
#include "install/cli.h"
#include "install/places.h"

static const char help[] =
    "usage: postern init [--user-layout]\n"
    "Makes the directories of a suite, and control/me where it is missing.\n"
    "  --user-layout  all of it belongs to the caller (the default unless\n"
    "                 the caller is root)\n";

static int
complain(const char *path, const char *what)
{
	fprintf(stderr, "postern init: %s: %s\n", path, what);
	return -1;
}

static int
complain_errno(const char *path, int error)
{
	fprintf(stderr, "postern init: %s: %s: %s\n", path, strerror(error),
	    advice_file(error));
	return -1;
}

/* Makes the folders above the last component of path. */
static int
parents_make(const char *path)
{
	char text[600];
	struct buf b = BUF_ON(text);
	struct str rest = str_of(path);

	for (size_t i = 1; i < rest.n; i++) {
		if (rest.p[i] != '/')
			continue;
		buf_reset(&b);
		buf_put(&b, str_head(rest, i));
		const char *parent = buf_cstr(&b);
		if (parent == NULL)
			return complain(path,
			    "too long a path: choose a shorter POSTERN_ROOT");
		if (mkdir(parent, 0755) < 0 && errno != EEXIST)
			return complain_errno(parent, errno);
	}
	return 0;
}

static int
owner_of(const struct place *p, bool user_layout, uid_t *uid, gid_t *gid)
{
	gid_t own;

	*uid = getuid();
	*gid = getgid();
	if (user_layout)
		return 0;
	if (privs_lookup(p->user, uid, &own) < 0)
		return complain(p->user, "no such user; run install/users");
	const struct group *g = getgrnam(p->group);
	if (g == NULL)
		return complain(p->group, "no such group; run install/users");
	*gid = g->gr_gid;
	return 0;
}

static int
place_make(const struct place *p, bool user_layout)
{
	const char *path = layout_path(p->where);
	struct stat st;
	uid_t uid;
	gid_t gid;

	if (owner_of(p, user_layout, &uid, &gid) < 0 || parents_make(path) < 0)
		return -1;
	bool fresh = mkdir(path, p->mode & 0700) == 0;
	if (!fresh && errno != EEXIST)
		return complain_errno(path, errno);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		int r = complain_errno(path, errno);
		io_close(&fd);
		return r;
	}
	bool right = st.st_uid == uid && st.st_gid == gid &&
		     (st.st_mode & 07777) == p->mode;
	int r = 0;
	if (!right && (fchown(fd, uid, gid) < 0 || fchmod(fd, p->mode) < 0))
		r = complain_errno(path, errno);
	else if (!right)
		printf(
		    "%s %s (%s)\n", fresh ? "made" : "mended", path, p->what);
	close(fd);
	return r;
}

static int
me_make(void)
{
	const char *path = layout_path(LAYOUT_CONTROL);
	char text[CONTROL_LINE_MAX];
	struct buf me = BUF_ON(text);
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = 0;

	if (dir < 0)
		return complain_errno(path, errno);
	if (faccessat(dir, "me", F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
		r = control_line(dir, "me", &me); /* the system's name */
		buf_putc(&me, '\n');
		if (r == 0 &&
		    io_replace_file(dir, "me", buf_str(&me), 0644) < 0)
			r = complain_errno("control/me", errno);
		if (r == 0)
			printf("made %s/me: %.*s", path, (int)me.n, me.p);
	}
	close(dir);
	return r;
}

int
cli_init(int argc, char **argv)
{
	bool user_layout = geteuid() != 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			fputs(help, stdout);
			return EXITCODE_DONE;
		}
		if (strcmp(argv[i], "--user-layout") != 0) {
			fputs(help, stderr);
			return EXITCODE_PERMANENT;
		}
		user_layout = true;
	}
	umask(022);
	for (size_t i = 0; i < place_count; i++)
		if (places[i].kind == PLACE_DIR &&
		    place_make(&places[i], user_layout) < 0)
			return EXITCODE_PERMANENT;
	return me_make() == 0 ? EXITCODE_DONE : EXITCODE_PERMANENT;
}
