/* SPDX-License-Identifier: ISC
 * Tests start/errors: the file of the last errors, whatever roles say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/io.h"
#include "common/log.h"
#include "start/errors.h"

enum { KEPT = 16, LINE = 480 };

static char folder[] = "/tmp/test_errors.XXXXXX";
static char content[64 * 1024];
static int dirfd;

static struct str
read_errors(void)
{
	int64_t n = io_read_file(dirfd, "errors", content, sizeof(content));

	assert_true(n >= 0);
	return (struct str){ content, (size_t)n };
}

static void
write_errors(void)
{
	int ms = errors_write();

	if (ms > 0) { /* what roles say: once a second */
		(void)usleep((useconds_t)ms * 1000 + 1000);
		ms = errors_write();
	}
	assert_int_equal(ms, -1);
}

static void
a_role_cannot_forge_lines(void **state)
{
	(void)state;
	errors_keep(STR("one\nt=0 level=error\033[2J\177\377"));
	write_errors();
	assert_true(
	    str_eq(read_errors(), STR("1\none?t=0 level=error?[2J??\n")));
}

static void
the_last_ones_are_kept(void **state)
{
	char text[2 * LINE];

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = 'x';
	for (char c = 'a'; c < 'a' + KEPT; c++)
		errors_keep((struct str){ &c, 1 });
	errors_keep((struct str){ text, sizeof(text) });
	errors_keep(STR(""));
	write_errors();
	struct str all = read_errors();
	assert_true(str_starts(all, STR("19\nc\nd\n")));
	assert_int_equal(all.n, 3 + 2 * (KEPT - 2) + LINE + 1 + 1);
	assert_memory_equal(all.p + all.n - 4, "xx\n\n", 4);
}

static void
an_own_error_is_there_at_once(void **state)
{
	(void)state;
	LOG(ERROR, "an-event", F_TEXT("what", "this"));
	struct str all = read_errors();
	assert_true(str_starts(all, STR("20\n")));
	assert_non_null(memmem(all.p, all.n, "event=an-event", 14));
}

static int
make_folder(void **state)
{
	(void)state;
	log_init("test");
	if (mkdtemp(folder) == NULL)
		return -1;
	dirfd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return -1;
	errors_init(dirfd);
	return 0;
}

static int
remove_folder(void **state)
{
	(void)state;
	(void)unlinkat(dirfd, "errors", 0);
	return rmdir(folder);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_role_cannot_forge_lines),
		cmocka_unit_test(the_last_ones_are_kept),
		cmocka_unit_test(an_own_error_is_there_at_once),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
