/* SPDX-License-Identifier: ISC
 * args: contract in args.h.
 */
#include "common/args.h"

#include <unistd.h>
#include "common/exitcode.h"
#include "common/io.h"

static _Noreturn void
say(struct str text)
{
	_exit(io_write_all(STDOUT_FILENO, text) == 0 ? EXITCODE_DONE
						     : EXITCODE_TEMPORARY);
}

void
args_answer(struct str arg, const char *help)
{
	if (str_eq(arg, STR("--help")))
		say(str_of(help));
	if (str_eq(arg, STR("--version")))
		say(STR("postern " POSTERN_VERSION "\n"));
}
