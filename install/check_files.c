/* SPDX-License-Identifier: ISC
 * check_files: the files of the control directory, whatever stands in them.
 * Contract in check.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/control.h"
#include "common/io.h"
#include "common/layout.h"
#include "install/check.h"

enum { NAME_ROOM = 32 };

/* Settings of qmail that have another place here. */
static const struct {
	const char *name, *instead;
} elsewhere[] = {
	{ "morercpthosts", "put its lines into rcpthosts" },
	{ "doublebounceto", "postmaster gets double bounces" },
	{ "doublebouncehost", "postmaster gets double bounces" },
	{ "localiphost", "name it in locals" },
	{ "percenthack", "such addresses are never rewritten" },
	{ "timeoutpop3d", "the setting is timeoutpop3" },
	{ "aliases", "they are in users/aliases: see postern alias" },
	{ "defaultdelivery", "without a .qmail mail goes to ~/Maildir" },
	{ "concurrencysmtp", "the setting is concurrencyincoming" },
};

/* Letters to change, add, leave out or swap with the next, between two short
 * names (restricted Damerau-Levenshtein); NAME_ROOM: too many. */
static unsigned
distance(const char *a, const char *b)
{
	unsigned row[3][NAME_ROOM + 1];
	size_t na = strlen(a);
	size_t nb = strlen(b);

	if (na > NAME_ROOM || nb > NAME_ROOM)
		return NAME_ROOM;
	for (size_t j = 0; j <= nb; j++)
		row[0][j] = (unsigned)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned *now = row[i % 3];
		const unsigned *last = row[(i + 2) % 3];
		now[0] = (unsigned)i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);
			if (last[j] + 1 < best)
				best = last[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
			    a[i - 2] == b[j - 1] &&
			    row[(i + 1) % 3][j - 2] + 1 < best)
				best = row[(i + 1) % 3][j - 2] + 1;
			now[j] = best;
		}
	}
	return row[na % 3][nb];
}

/* The setting that was likely meant, or NULL. */
static const char *
nearest(const char *name)
{
	const char *found = NULL;
	unsigned least = strlen(name) < 5 ? 2 : 3;

	for (size_t i = 0; i < control_setting_count; i++) {
		unsigned d = distance(name, control_settings[i].name);
		if (d < least) {
			least = d;
			found = control_settings[i].name;
		}
	}
	return found;
}

static void
unknown(struct check *c, const char *name)
{
	for (size_t i = 0; i < N_ELEMENTS(elsewhere); i++)
		if (strcmp(name, elsewhere[i].name) == 0) {
			check_say(c, CHECK_WARNING, name, 0,
			    "this file of qmail's is not read: %s",
			    elsewhere[i].instead);
			return;
		}
	const char *meant = nearest(name);
	if (meant != NULL)
		check_say(c, CHECK_MISTAKE, name, 0,
		    "no setting has this name: rename it, if %s is meant",
		    meant);
	else
		check_warning(c, name, 0,
		    "no setting has this name, so it does nothing: remove it "
		    "(postern show lists all settings)");
}

/* A number or a line is the first line; what follows is never read. */
static void
lines_check(struct check *c, int dir, const struct control_setting *s)
{
	char text[CONTROL_LINE_MAX];
	struct str line;
	int64_t n = io_read_file(dir, s->name, text, sizeof(text));
	struct str rest = { .p = text, .n = n > 0 ? (size_t)n : 0 };

	if (n < 0)
		return; /* check_settings tells */
	if (!str_line(&rest, &line) || str_trim(line).n == 0)
		check_say(c, CHECK_WARNING, s->name, 1,
		    "is empty, so the default holds%s%s: remove the file, or "
		    "write a value",
		    s->fallback != NULL ? ", " : "",
		    s->fallback != NULL ? s->fallback : "");
	for (unsigned number = 2; str_line(&rest, &line); number++)
		if (str_trim(line).n > 0) {
			check_warning(c, s->name, number,
			    "only the first line counts: remove this one");
			return;
		}
}

static void
file_check(struct check *c, int dir, const char *name)
{
	const struct control_setting *s = control_find(name);
	struct stat st;

	if (s == NULL) {
		/* tcp.smtp, tcp.smtp.cdb: of tcprules, where they always are */
		if (strncmp(name, "tcp.", 4) != 0)
			unknown(c, name);
		return;
	}
	if (s->kind != CONTROL_LIST &&
	    fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISREG(st.st_mode)) /* else check_settings tells */
		lines_check(c, dir, s);
}

void
check_files(struct check *c, int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (d == NULL) {
		io_close(&fd);
		check_mistake(
		    c, layout_path(LAYOUT_CONTROL), 0, strerror(errno));
		return;
	}
	for (const struct dirent *e; (e = readdir(d)) != NULL;)
		if (e->d_name[0] != '.' && strcmp(e->d_name, "users") != 0)
			file_check(c, dir, e->d_name);
	closedir(d);
}
