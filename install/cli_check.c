/* SPDX-License-Identifier: ISC
 * `postern check`: every mistake of the configuration at once, with file and
 * line and what to do.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/control.h"
#include "common/exitcode.h"
#include "common/io.h"
#include "common/layout.h"
#include "install/arguments.h"
#include "install/check.h"
#include "install/cli.h"

static const char help[] =
    "usage: postern check [--json]\n"
    "Shows every mistake in the control files, the user tables and the\n"
    "directories, a line each: file, line, what is wrong.  A warning is no\n"
    "mistake.  Exit code: 0 no mistakes, 1 mistakes.\n";

static int
check_all(struct check *c)
{
	const char *path = layout_path(LAYOUT_CONTROL);
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	check_places(c);
	if (dir < 0) {
		check_mistake(c, path, 0, strerror(errno));
		return -1;
	}
	check_settings(c, dir);
	check_unknown(c, dir);
	check_users(c, dir);
	check_running(c, dir);
	check_room(c, dir);
	close(dir);
	return 0;
}

int
cli_check(int argc, char **argv)
{
	struct check c = { .json = false };
	int code;

	if (!arguments_json(argc, argv, help, &c.json, &code))
		return code;
	check_all(&c);
	if (!c.json)
		printf("%u mistake%s, %u warning%s\n", c.mistakes,
		    c.mistakes == 1 ? "" : "s", c.warnings,
		    c.warnings == 1 ? "" : "s");
	return c.mistakes > 0 ? 1 : EXITCODE_DONE;
}
