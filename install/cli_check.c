/* SPDX-License-Identifier: ISC
 * `postern check`: every mistake of the configuration at once, with file and
 * line and what to do.
 */
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
    "directories at once, a line each: file, line, what is wrong and what to\n"
    "do.  A warning is no mistake.  The suite need not run.\n"
    "Exit code: 0 no mistakes, 1 mistakes.\n";

static void
check_all(struct check *c)
{
	const char *path = layout_path(LAYOUT_CONTROL);
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = errno;

	check_places(c);
	if (dir < 0) {
		if (error != ENOENT && error != ENOTDIR) /* else it told */
			check_say(c, CHECK_MISTAKE, path, 0, "%s: look as root",
			    strerror(error));
		return;
	}
	check_files(c, dir);
	check_settings(c, dir);
	check_domains(c, dir);
	check_net(c, dir);
	check_numbers(c, dir);
	check_users(c, dir);
	check_addresses(c, dir);
	close(dir);
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
