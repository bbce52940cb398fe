/* SPDX-License-Identifier: ISC
 * colour: contract in colour.h.
 */
#include "install/colour.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool
wanted(void)
{
	static int known = -1;

	if (known < 0) {
		const char *term = getenv("TERM");
		const char *no = getenv("NO_COLOR");
		known = isatty(STDOUT_FILENO) == 1 &&
			(no == NULL || no[0] == '\0') && term != NULL &&
			strcmp(term, "dumb") != 0;
	}
	return known == 1;
}

const char *
colour_on(enum colour c)
{
	static const char *const codes[] = {
		[COLOUR_PLAIN] = "",
		[COLOUR_GOOD] = "\033[32m",
		[COLOUR_WARN] = "\033[33m",
		[COLOUR_BAD] = "\033[1;31m",
		[COLOUR_FAINT] = "\033[2m",
	};

	return wanted() ? codes[c] : "";
}

const char *
colour_off(void)
{
	return wanted() ? "\033[0m" : "";
}
