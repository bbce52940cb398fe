/* SPDX-License-Identifier: ISC
 * arguments: contract in arguments.h.
 */
#include "install/arguments.h"

#include <stdio.h>
#include <string.h>
#include "common/exitcode.h"

bool
arguments_json(int argc, char **argv, const char *help, bool *json, int *code)
{
	*json = argc == 2 && strcmp(argv[1], "--json") == 0;
	if (argc == 1 || *json)
		return true;
	bool asked = argc == 2 && strcmp(argv[1], "--help") == 0;
	fputs(help, asked ? stdout : stderr);
	*code = asked ? EXITCODE_DONE : EXITCODE_PERMANENT;
	return false;
}
