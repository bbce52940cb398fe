/* SPDX-License-Identifier: ISC
 * `postern layout`: the table of what an installation has, for people, scripts
 * and systemd-tmpfiles.
 */
#include <stdio.h>
#include <string.h>
#include "common/exitcode.h"
#include "install/cli.h"
#include "install/json.h"
#include "install/places.h"

enum { PATH_ROOM = 640 };

static const char help[] =
    "usage: postern layout [--json | --tmpfiles]\n"
    "Shows each path of an installation, with its owner and mode.  postern\n"
    "init makes them so, postern check compares.\n"
    "  --json      an object per line\n"
    "  --tmpfiles  the folders, as systemd-tmpfiles wants them\n";

static int width; /* of the longest path */

/* For people: a program's folder is long, and theirs to know. */
static const char *
short_path(const struct place *p, const char *path, struct buf *b)
{
	if (p->kind != PLACE_PROGRAM)
		return path;
	buf_reset(b);
	buf_puts(b, "libexec/postern/");
	buf_puts(b, p->name);
	return buf_cstr(b);
}

static void
row_measure(const struct place *p, const char *path)
{
	char storage[PATH_ROOM];
	struct buf b = BUF_ON(storage);
	int n = (int)strlen(short_path(p, path, &b));

	if (n > width)
		width = n;
}

static void
row_print(const struct place *p, const char *path)
{
	char owner[64];
	char storage[PATH_ROOM];
	struct buf b = BUF_ON(storage);

	(void)snprintf(owner, sizeof(owner), "%s:%s", p->user, p->group);
	printf("%-*s %04o  %-17s  %s\n", width, short_path(p, path, &b),
	    (unsigned)p->mode, owner, p->what);
}

static void
row_json(const struct place *p, const char *path)
{
	printf("{\"path\":");
	json_string(str_of(path));
	printf(",\"kind\":\"%s\",\"user\":\"%s\",\"group\":\"%s\","
	       "\"mode\":\"%04o\",\"what\":\"%s\"}\n",
	    place_kind_name(p->kind), p->user, p->group, (unsigned)p->mode,
	    p->what);
}

static void
row_tmpfiles(const struct place *p, const char *path)
{
	if (p->kind == PLACE_DIR)
		printf("d %s %04o %s %s -\n", path, (unsigned)p->mode, p->user,
		    p->group);
}

static void
each(void (*print)(const struct place *, const char *path))
{
	for (size_t i = 0; i < place_count; i++) {
		char storage[PATH_ROOM];
		struct buf b = BUF_ON(storage);
		print(&places[i], place_path(&places[i], NULL, &b));
	}
}

int
cli_layout(int argc, char **argv)
{
	if (argc == 1) {
		each(row_measure);
		printf("%-*s %-4s  %-17s  %s\n", width, "PATH", "MODE", "OWNER",
		    "WHAT");
		each(row_print);
	} else if (argc == 2 && strcmp(argv[1], "--json") == 0) {
		each(row_json);
	} else if (argc == 2 && strcmp(argv[1], "--tmpfiles") == 0) {
		each(row_tmpfiles);
	} else {
		bool asked = argc == 2 && strcmp(argv[1], "--help") == 0;
		fputs(help, asked ? stdout : stderr);
		return asked ? EXITCODE_DONE : EXITCODE_PERMANENT;
	}
	return EXITCODE_DONE;
}
