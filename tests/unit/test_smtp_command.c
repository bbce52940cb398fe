/* SPDX-License-Identifier: ISC
 * Unit test of smtpd/command.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "smtpd/command.h"

static void
verbs(void **state)
{
	static const struct {
		const char *line;
		enum command_verb verb;
		const char *arg;
	} t[] = {
		{ "EHLO x", VERB_EHLO, "x" },
		{ "helo  x ", VERB_HELO, "x" },
		{ "MAIL FROM:<>", VERB_MAIL, "FROM:<>" },
		{ "rcpt", VERB_RCPT, "" },
		{ "DATA ", VERB_DATA, "" },
		{ "RsEt", VERB_RSET, "" },
		{ "NOOP a b", VERB_NOOP, "a b" },
		{ "VRFY x", VERB_VRFY, "x" },
		{ "HELP", VERB_HELP, "" },
		{ "QUIT", VERB_QUIT, "" },
		{ "EXPN x", VERB_KNOWN, "x" },
		{ "STARTTLS", VERB_KNOWN, "" },
		{ "MAILFROM:<>", VERB_UNKNOWN, "" },
		{ " QUIT", VERB_UNKNOWN, "QUIT" },
		{ "", VERB_UNKNOWN, "" },
		{ "QUITX", VERB_UNKNOWN, "" },
		{ "QUI", VERB_UNKNOWN, "" },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(t); i++) {
		struct command c;

		assert_true(command_parse(str_of(t[i].line), &c));
		assert_int_equal(c.verb, t[i].verb);
		assert_true(str_eq(c.arg, str_of(t[i].arg)));
	}
}

static void
control_bytes(void **state)
{
	struct command c;

	(void)state;
	for (int byte = 0; byte < 256; byte++) {
		char line[] = "NOOP ?";

		line[5] = (char)byte;
		assert_int_equal(
		    command_parse((struct str){ line, sizeof(line) - 1 }, &c),
		    byte >= 0x20 && byte < 0x7f);
	}
}

static void
mail_arguments(void **state)
{
	static const struct {
		const char *arg;
		enum command_syntax status;
		const char *local, *domain;
		uint64_t size;
	} t[] = {
		{ "FROM:<>", COMMAND_OK, "", "", 0 },
		{ "from:<a@b>", COMMAND_OK, "a", "b", 0 },
		{ "FROM: <a@b>", COMMAND_OK, "a", "b", 0 },
		{ "FROM:   <a@b>  SIZE=5", COMMAND_OK, "a", "b", 5 },
		{ "FROM:<a@b> BODY=7bit size=18446744073709551615", COMMAND_OK,
		    "a", "b", UINT64_MAX },
		{ "FROM:<a@b> SIZE=99999999999999999999", COMMAND_OK, "a", "b",
		    UINT64_MAX },
		{ "FROM:<\"x>y\\\"z\"@b> SIZE=1", COMMAND_OK, "\"x>y\\\"z\"",
		    "b", 1 },
		{ "FROM:<@x:a@b>", COMMAND_OK, "a", "b", 0 },
		{ "FROM:<@x,@y.z:a@b>", COMMAND_OK, "a", "b", 0 },
		{ "FROM:<@:a@b>", COMMAND_BAD_ADDRESS, NULL, NULL, 0 },
		{ "FROM:<@x,:a@b>", COMMAND_BAD_ADDRESS, NULL, NULL, 0 },
		{ "FROM:<@x,@y>", COMMAND_BAD_ADDRESS, NULL, NULL, 0 },
		{ "FROM:<@x:>", COMMAND_BAD_ADDRESS, NULL, NULL, 0 },
		{ "FROM:<@x:@y:a@b>", COMMAND_BAD_ADDRESS, NULL, NULL, 0 },
		{ "FROM:<a>", COMMAND_BAD_ADDRESS, NULL, NULL, 0 },
		{ "FROM:<a@b", COMMAND_NO_PATH, NULL, NULL, 0 },
		{ "FROM:<\"a@b>", COMMAND_NO_PATH, NULL, NULL, 0 },
		{ "FROM:<\"a\\", COMMAND_NO_PATH, NULL, NULL, 0 },
		{ "FROM:a@b", COMMAND_NO_PATH, NULL, NULL, 0 },
		{ "FROM:", COMMAND_NO_PATH, NULL, NULL, 0 },
		{ "FROM", COMMAND_NO_PATH, NULL, NULL, 0 },
		{ "FROM <a@b>", COMMAND_NO_PATH, NULL, NULL, 0 },
		{ "TO:<a@b>", COMMAND_NO_PATH, NULL, NULL, 0 },
		{ "", COMMAND_NO_PATH, NULL, NULL, 0 },
		{ "FROM:<a@b>SIZE=1", COMMAND_NO_PATH, NULL, NULL, 0 },
		{ "FROM:<a@b>>", COMMAND_NO_PATH, NULL, NULL, 0 },
		{ "FROM:<a@b> SIZE", COMMAND_BAD_PARAMETER, NULL, NULL, 0 },
		{ "FROM:<a@b> SIZE=1x", COMMAND_BAD_PARAMETER, NULL, NULL, 0 },
		{ "FROM:<a@b> BODY", COMMAND_BAD_PARAMETER, NULL, NULL, 0 },
		{ "FROM:<a@b> X", COMMAND_NEW_PARAMETER, NULL, NULL, 0 },
		{ "FROM:<a@b> =", COMMAND_NEW_PARAMETER, NULL, NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(t); i++) {
		struct command_mail m;
		enum command_syntax e = command_mail(str_of(t[i].arg), &m);

		if (e != t[i].status)
			fail_msg("%s: %d", t[i].arg, (int)e);
		if (e != COMMAND_OK)
			continue;
		assert_int_equal(m.null, t[i].local[0] == '\0');
		assert_int_equal(m.size, t[i].size);
		if (!m.null) {
			assert_true(str_eq(m.sender.local, str_of(t[i].local)));
			assert_true(
			    str_eq(m.sender.domain, str_of(t[i].domain)));
		}
	}
}

static void
rcpt_arguments(void **state)
{
	static const struct {
		const char *arg;
		enum command_syntax status;
	} t[] = {
		{ "TO:<a@b>", COMMAND_OK },
		{ "to: <a@b> ", COMMAND_OK },
		{ "TO:<postmaster>", COMMAND_OK },
		{ "TO:<\"PostMaster\">", COMMAND_OK },
		{ "TO:<@r:postmaster>", COMMAND_OK },
		{ "TO:<bob>", COMMAND_BAD_ADDRESS },
		{ "TO:<>", COMMAND_BAD_ADDRESS },
		{ "TO:<a@b> X", COMMAND_NEW_PARAMETER },
		{ "TO:a@b", COMMAND_NO_PATH },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(t); i++) {
		struct address a;

		if (command_rcpt(str_of(t[i].arg), &a) != t[i].status)
			fail_msg("%s", t[i].arg);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verbs),
		cmocka_unit_test(control_bytes),
		cmocka_unit_test(mail_arguments),
		cmocka_unit_test(rcpt_arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
