/* SPDX-License-Identifier: ISC
 * test_filter_outcome: what the end of a filter program means, and the line of
 * control/filter.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "filter/command.h"
#include "filter/outcome.h"

#define EXIT(n) W_EXITCODE((n), 0)
#define KILLED	W_EXITCODE(0, 9)
#define NO	NULL
#define AN_ID	"000660d7b9dd7157"

static const struct {
	int status;
	const char *stopped, *report;
	char verdict, result;
	const char *text, *why;
} cases[] = {
	{ EXIT(0), NO, "K" AN_ID "\n", 'K', 'A', AN_ID, "" },
	{ EXIT(0), NO, "K\n", 'K', 'A', "", "" },
	{ EXIT(0), NO, "", 'K', 'X', "", "" },
	{ EXIT(0), NO, "Kbad\n", 'K', 'X', "", "" },
	{ EXIT(0), NO, "Z4.3.1 Full\n", 'Z', 'D', "4.3.1 Full", "" },
	{ EXIT(31), NO, "", 'D', 'R', "5.7.1 Message refused by local policy",
	    "exit 31" },
	{ EXIT(31), NO, "D5.7.1 No\n", 'D', 'R', "5.7.1 No", "exit 31" },
	{ EXIT(31), NO, "DNo\n", 'D', 'R', "5.7.1 No", "exit 31" },
	{ EXIT(31), NO, "D4.7.1 No\n", 'D', 'R', "5.7.1 4.7.1 No", "exit 31" },
	{ EXIT(31), NO, "D5.7.1No\n", 'D', 'R', "5.7.1 5.7.1No", "exit 31" },
	{ EXIT(31), NO, "D5..7 No\n", 'D', 'R', "5.7.1 5..7 No", "exit 31" },
	{ EXIT(31), NO, "D5.7 No\n", 'D', 'R', "5.7.1 5.7 No", "exit 31" },
	{ EXIT(1), NO, "Z\n", 'Z', 'D', "4.7.1 Try again later", "exit 1" },
	{ EXIT(1), NO, "Z4.7.2 \n", 'Z', 'D', "4.7.2 Try again later",
	    "exit 1" },
	{ EXIT(1), NO, "K" AN_ID "\nD5.6.0 b", 'D', 'R', "5.6.0 b", "exit 1" },
	/* its own word is no, though it has queued it */
	{ EXIT(31), NO, "K" AN_ID "\n", 'D', 'R',
	    "5.7.1 Message refused by local policy", "exit 31" },
	{ EXIT(10), NO, "", 'Z', 'D', "4.3.0 Trouble with a filter",
	    "exit 10" },
	{ EXIT(12), NO, "", 'D', 'R', "5.3.0 Message refused by a filter",
	    "exit 12" },
	{ EXIT(40), NO, "", 'D', 'R', "5.3.0 Message refused by a filter",
	    "exit 40" },
	{ EXIT(41), NO, "", 'Z', 'D', "4.3.0 Trouble with a filter",
	    "exit 41" },
	{ EXIT(91), NO, "", 'Z', 'D', "4.3.0 Envelope format error of a filter",
	    "exit 91" },
	/* no word of its own */
	{ KILLED, NO, "", 'Z', 'T',
	    "4.3.0 Trouble with a filter, try again later", "signal 9" },
	{ KILLED, NO, "D5.7.1 No\n", 'Z', 'T',
	    "4.3.0 Trouble with a filter, try again later", "signal 9" },
	{ KILLED, NO, "K" AN_ID "\n", 'K', 'A', AN_ID, "signal 9" },
	{ KILLED, "took too long", "", 'Z', 'T',
	    "4.3.0 Trouble with a filter, try again later", "took too long" },
	{ KILLED, "took too long", "K" AN_ID "\n", 'K', 'A', AN_ID,
	    "took too long" },
	/* it ended by itself, just when it was to be stopped */
	{ EXIT(0), "took too long", "", 'Z', 'T',
	    "4.3.0 Trouble with a filter, try again later", "took too long" },
};

static void
check(size_t i, size_t cut)
{
	struct outcome_report r = { .n = 0 };
	struct outcome o;
	struct str rest = str_of(cases[i].report);

	for (; rest.n > 0; rest = str_skip(rest, cut))
		outcome_feed(&r, str_head(rest, cut));
	outcome_decide(&o, cases[i].status, cases[i].stopped, outcome_end(&r));
	assert_int_equal(o.verdict, cases[i].verdict);
	assert_int_equal(o.result, cases[i].result);
	assert_string_equal(buf_cstr(&o.text), cases[i].text);
	assert_string_equal(buf_cstr(&o.why), cases[i].why);
}

static void
test_outcomes(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(cases); i++)
		for (size_t cut = 1; cut < 20; cut++)
			check(i, cut);
}

/* A line of 512 bytes with its LF counts, a longer one does not, nor does it
 * hide the one before. */
static void
test_long_lines(void **state)
{
	(void)state;
	static char line[OUTCOME_LINE + 1];
	struct outcome_report r = { .n = 0 };

	memset(line, 'x', sizeof(line));
	line[0] = 'D';
	line[OUTCOME_LINE] = '\n';
	outcome_feed(&r, STR("Z4.0.0 first\n"));
	outcome_feed(&r, (struct str){ .p = line, .n = sizeof(line) });
	assert_int_equal(outcome_end(&r).n, OUTCOME_LINE);
	for (int i = 0; i < 3; i++)
		outcome_feed(&r, (struct str){ .p = line, .n = OUTCOME_LINE });
	outcome_feed(&r, STR("\n"));
	assert_int_equal(outcome_end(&r).n, OUTCOME_LINE);
	assert_int_equal(outcome_end(&r).p[0], 'D');
}

static void
test_lines_of_the_setting(void **state)
{
	(void)state;
	struct command c;

	assert_null(command_parse(STR("/bin/x  -a\tb "), &c));
	assert_string_equal(c.argv[0], "/bin/x");
	assert_string_equal(c.argv[1], "-a");
	assert_string_equal(c.argv[2], "b");
	assert_null(c.argv[3]);
	assert_non_null(command_parse(STR("bin/x"), &c));
	assert_non_null(command_parse(STR(""), &c));
	assert_non_null(command_parse(STR("/bin/x \001"), &c));
	char many[2 * (COMMAND_WORDS + 2)];
	for (size_t i = 0; i < sizeof(many); i++)
		many[i] = i % 2 == 0 ? '/' : ' ';
	assert_non_null(
	    command_parse((struct str){ .p = many, .n = sizeof(many) }, &c));
	assert_null(command_parse(
	    (struct str){ .p = many, .n = 2 * (size_t)COMMAND_WORDS }, &c));
	assert_null(c.argv[COMMAND_WORDS]);
}

static void
test_programs(void **state)
{
	(void)state;
	char path[] = "/tmp/postern-test-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_null(command_check("/bin/sh", 0));
	assert_non_null(command_check("/", 0));
	assert_non_null(command_check("/no/such", 0));
	assert_non_null(command_check(path, geteuid())); /* not executable */
	assert_int_equal(fchmod(fd, 0755), 0);
	assert_null(command_check(path, geteuid()));
	assert_int_equal(fchmod(fd, 0775), 0);
	assert_non_null(command_check(path, geteuid()));
	assert_int_equal(fchmod(fd, 0757), 0);
	assert_non_null(command_check(path, geteuid()));
	close(fd);
	unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outcomes),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_lines_of_the_setting),
		cmocka_unit_test(test_programs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
