/* SPDX-License-Identifier: ISC
 * check_places: the roles' users, and every row of the layout against what is
 * on the disk.  Contract in check.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/io.h"
#include "install/check.h"
#include "install/places.h"
#include "start/plan.h"

enum { SAID = 1600, PATH_ROOM = 640 };

static bool
kind_is_right(const struct place *p, mode_t mode)
{
	return p->kind == PLACE_DIR	 ? S_ISDIR(mode)
	       : p->kind == PLACE_SOCKET ? S_ISSOCK(mode)
					 : S_ISREG(mode);
}

/* A folder, or a file of a kind that cannot be mended in place. */
static void
kind_complain(
    struct check *c, const struct place *p, const char *path, mode_t mode)
{
	char text[SAID];

	(void)snprintf(text, sizeof(text),
	    "is a %s, and must be a %s: run mv %s %s.old%s",
	    S_ISLNK(mode)   ? "symbolic link"
	    : S_ISDIR(mode) ? "folder"
	    : S_ISREG(mode) ? "plain file"
			    : "special file",
	    place_kind_name(p->kind), path, path,
	    p->kind == PLACE_DIR      ? " && postern init"
	    : p->kind == PLACE_SOCKET ? ", and restart the suite"
				      : ", and make it anew");
	check_mistake(c, path, 0, text);
}

static void
owner_complain(struct check *c, const struct place *p, const char *path,
    const struct stat *st)
{
	char text[SAID];
	char user[32];
	char group[32];
	const struct passwd *pw = getpwuid(st->st_uid);
	const struct group *gr = getgrgid(st->st_gid);

	(void)snprintf(user, sizeof(user), "%u", (unsigned)st->st_uid);
	(void)snprintf(group, sizeof(group), "%u", (unsigned)st->st_gid);
	int n = snprintf(text, sizeof(text),
	    "belongs to %s:%s with mode %04o, and must be %s:%s %04o: run ",
	    pw != NULL ? pw->pw_name : user, gr != NULL ? gr->gr_name : group,
	    (unsigned)(st->st_mode & 07777), p->user, p->group,
	    (unsigned)p->mode);
	if (n < 0 || (size_t)n >= sizeof(text))
		return;
	if (p->kind == PLACE_DIR)
		(void)snprintf(
		    text + n, sizeof(text) - (size_t)n, "postern init");
	else /* in this order: chown takes a set-gid bit away */
		(void)snprintf(text + n, sizeof(text) - (size_t)n,
		    "chown %s:%s %s && chmod %04o %s", p->user, p->group, path,
		    (unsigned)p->mode, path);
	check_mistake(c, path, 0, text);
}

static bool
owner_is_right(const struct place *p, const struct stat *st)
{
	/* in a one-user suite all belongs to that user */
	if (geteuid() != 0 && st->st_uid == geteuid())
		return true;
	const struct passwd *pw = getpwnam(p->user);
	const struct group *gr = getgrnam(p->group);
	return pw != NULL && gr != NULL && pw->pw_uid == st->st_uid &&
	       gr->gr_gid == st->st_gid;
}

/* What its owner may not write is no mistake. */
static bool
mode_is_right(const struct place *p, mode_t mode)
{
	mode &= 07777;
	if (p->kind == PLACE_FILE)
		mode |= 0200;
	return mode == p->mode;
}

static void
row_check(struct check *c, const struct place *p, const char *name)
{
	char storage[PATH_ROOM];
	struct buf b = BUF_ON(storage);
	const char *path = place_path(p, name, &b);
	struct stat st;

	if (lstat(path, &st) == 0) {
		if (!kind_is_right(p, st.st_mode))
			kind_complain(c, p, path, st.st_mode);
		else if (!owner_is_right(p, &st) ||
			 !mode_is_right(p, st.st_mode))
			owner_complain(c, p, path, &st);
	} else if (errno == EACCES) {
		check_warning(c, path, 0,
		    "was not looked at (Permission denied): look as root");
	} else if (errno != ENOENT && errno != ENOTDIR) {
		check_mistake(c, path, 0, strerror(errno));
	} else if (p->kind == PLACE_DIR && p->where != LAYOUT_RUN) {
		/* run: start makes it, after each boot */
		check_mistake(c, path, 0, "is missing: run postern init");
	} else if (p->kind == PLACE_PROGRAM) {
		check_mistake(c, path, 0, "is missing: install Postern again");
	}
}

/* The files of a folder that "*" stands for. */
static void
others_check(struct check *c, const struct place *p)
{
	char storage[PATH_ROOM];
	struct buf b = BUF_ON(storage);
	const char *path = p->kind == PLACE_PROGRAM ? place_path(p, ".", &b)
						    : layout_path(p->where);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (d == NULL) { /* the folder's own row has told */
		io_close(&fd);
		return;
	}
	for (const struct dirent *e; (e = readdir(d)) != NULL;) {
		struct stat st;
		if (e->d_name[0] == '.' ||
		    place_of_file(p->kind, p->where, e->d_name) != p ||
		    fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    S_ISDIR(st.st_mode))
			continue;
		row_check(c, p, e->d_name);
	}
	closedir(d);
}

/* Without them postern-start does not start.  In a one-user suite it needs
 * none.
 */
static void
users_check(struct check *c)
{
	for (size_t i = 0; i < plan_role_count; i++)
		if (geteuid() == 0 && getpwnam(plan_roles[i].user) == NULL)
			check_say(c, CHECK_MISTAKE, "/etc/passwd", 0,
			    "there is no user %s, and each role has one: run "
			    "install/users, or install the package again",
			    plan_roles[i].user);
}

/* Programs in a folder that they were built in belong to who built them. */
static bool
programs_are_installed(void)
{
	static const char end[] = "/libexec/postern/";
	char storage[PATH_ROOM];
	struct buf b = BUF_ON(storage);

	(void)layout_program("", &b);
	return b.n >= sizeof(end) - 1 &&
	       memcmp(b.p + b.n - (sizeof(end) - 1), end, sizeof(end) - 1) == 0;
}

void
check_places(struct check *c)
{
	bool installed = programs_are_installed();

	users_check(c);
	for (size_t i = 0; i < place_count; i++) {
		const struct place *p = &places[i];
		if (p->kind == PLACE_PROGRAM && !installed)
			continue;
		if (p->name != NULL && strcmp(p->name, "*") == 0)
			others_check(c, p);
		else
			row_check(c, p, NULL);
	}
}
