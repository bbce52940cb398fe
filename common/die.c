/* SPDX-License-Identifier: ISC
 * die: contract in die.h.
 */
#include "common/die.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/log.h"

_Noreturn void
die(enum exitcode code, const char *what, int error)
{
	if (error != 0)
		LOG(ERROR, "exit", F_TEXT("reason", what), F_ERRNO(error));
	else
		LOG(ERROR, "exit", F_TEXT("reason", what));
	_exit((int)code);
}

_Noreturn void
bug(const char *what)
{
	LOG(ERROR, "bug", F_TEXT("what", what));
	abort();
}
