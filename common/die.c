/* SPDX-License-Identifier: ISC
 * die: contract in die.h.
 */
#include "common/die.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/io.h"
#include "common/log.h"

static const char *last_words;
static int last_words_fd;

void
die_last_words(int fd, const char *text)
{
	struct stat st;
	bool has_client = fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);

	last_words_fd = fd;
	last_words = has_client ? text : NULL;
}

static _Noreturn void
end(enum exitcode code)
{
	if (last_words != NULL) /* a client that is gone hears nothing */
		(void)io_write_all(last_words_fd, str_of(last_words));
	_exit((int)code);
}

_Noreturn void
die(enum exitcode code, const char *what, int error)
{
	if (error != 0)
		LOG(ERROR, "exit", F_TEXT("reason", what), F_ERRNO(error));
	else
		LOG(ERROR, "exit", F_TEXT("reason", what));
	end(code);
}

_Noreturn void
die_do(enum exitcode code, const char *what, int error, const char *todo)
{
	if (error != 0)
		LOG(ERROR, "exit", F_TEXT("reason", what), F_ERRNO(error),
		    F_TEXT("do", todo));
	else
		LOG(ERROR, "exit", F_TEXT("reason", what), F_TEXT("do", todo));
	end(code);
}

_Noreturn void
bug(const char *what)
{
	LOG(ERROR, "bug", F_TEXT("what", what));
	abort();
}
