/* SPDX-License-Identifier: ISC
 * Unit test of inject/options and the verdicts of inject/handoff.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "inject/handoff.h"
#include "inject/options.h"

enum { WORDS = 16, TEXT = 256 };

/* Words are parted by spaces; ~ stands for an empty one. */
static bool
parse(const char *line, struct options *o)
{
	static char text[TEXT], *argv[WORDS + 1];
	int argc = 0;
	char *p = text;

	strncpy(text, line, sizeof(text) - 1);
	while (p != NULL && argc < WORDS) {
		char *end = strchr(p, ' ');

		if (end != NULL)
			*end++ = '\0';
		if (*p == '~')
			*p = '\0';
		argv[argc++] = p;
		p = end;
	}
	argv[argc] = NULL;
	return options_parse(argc, argv, o);
}

static const struct {
	const char *line;
	enum options_mode mode;
	bool t, i, v;
	const char *sender, *name; /* NULL: not given */
	const char *recipients;	   /* with a | behind each */
} good[] = {
	{ "sendmail bob", MODE_MAIL, false, false, false, NULL, NULL, "bob|" },
	{ "sendmail -t", MODE_MAIL, true, false, false, NULL, NULL, "" },
	{ "/usr/sbin/sendmail -ti -fa@x b", MODE_MAIL, true, true, false, "a@x",
	    NULL, "b|" },
	{ "sendmail -f a@x -F Al b c", MODE_MAIL, false, false, false, "a@x",
	    "Al", "b|c|" },
	{ "sendmail -f <> b", MODE_MAIL, false, false, false, "<>", NULL,
	    "b|" },
	{ "sendmail -f ~ b", MODE_MAIL, false, false, false, "", NULL, "b|" },
	{ "sendmail -r a@x -f b@x c", MODE_MAIL, false, false, false, "b@x",
	    NULL, "c|" },
	{ "sendmail b -oi c", MODE_MAIL, false, true, false, NULL, NULL,
	    "b|c|" },
	{ "sendmail -t -- -b", MODE_MAIL, true, false, false, NULL, NULL,
	    "-b|" },
	{ "sendmail -", MODE_MAIL, false, false, false, NULL, NULL, "-|" },
	/* as they come */
	{ "sendmail -FCronDaemon -i -B8BITMIME -oem root", MODE_MAIL, false,
	    true, false, NULL, "CronDaemon", "root|" },
	{ "sendmail -FCronDaemon -i -odi -oem -oi -t -f root", MODE_MAIL, true,
	    true, false, "root", "CronDaemon", "" },
	{ "sendmail -oem -oi -f a@x -- b@x", MODE_MAIL, false, true, false,
	    "a@x", NULL, "b@x|" },
	{ "sendmail -bs -odb -oem", MODE_SMTP, false, false, false, NULL, NULL,
	    "" },
	{ "sendmail -bm -v -Am -G -U -n -m -ep -L tag -hb", MODE_MAIL, false,
	    false, true, NULL, NULL, NULL },
	{ "sendmail -N success,failure -R hdrs -V id -O x=y b", MODE_MAIL,
	    false, false, false, NULL, NULL, "b|" },
	{ "sendmail -Nnever -h 30 -X /dev/null -d0.1 -o 7 b", MODE_MAIL, false,
	    false, false, NULL, NULL, "b|" },
	{ "sendmail -O IgnoreDots b", MODE_MAIL, false, true, false, NULL, NULL,
	    "b|" },
	{ "sendmail -OIgnoreDots=false -s b", MODE_MAIL, false, false, false,
	    NULL, NULL, "b|" },
	{ "sendmail -oitem b", MODE_MAIL, false, false, false, NULL, NULL,
	    "b|" },
	{ "mailq", MODE_LIST, false, false, false, NULL, NULL, "" },
	{ "/usr/bin/newaliases", MODE_ALIASES, false, false, false, NULL, NULL,
	    "" },
	{ "sendmail -bp", MODE_LIST, false, false, false, NULL, NULL, "" },
	{ "sendmail -I", MODE_ALIASES, false, false, false, NULL, NULL, "" },
	{ "sendmail -bv a b", MODE_VERIFY, false, false, false, NULL, NULL,
	    "a|b|" },
	{ "sendmail -q", MODE_RUN, false, false, false, NULL, NULL, "" },
};

static void
test_good(void **state)
{
	(void)state;
	for (size_t n = 0; n < N_ELEMENTS(good); n++) {
		struct options o;
		char room[TEXT];
		struct buf b = BUF_ON(room);
		bool ok = parse(good[n].line, &o);

		if (good[n].recipients == NULL) { /* -h takes a number */
			assert_false(ok);
			continue;
		}
		if (!ok)
			fail_msg("%s: %s", good[n].line, o.problem);
		for (size_t r = 0; r < o.recipient_count; r++) {
			buf_puts(&b, o.recipients[r]);
			buf_putc(&b, '|');
		}
		assert_string_equal(buf_cstr(&b), good[n].recipients);
		assert_int_equal(o.mode, good[n].mode);
		assert_int_equal(o.header_recipients, good[n].t);
		assert_int_equal(o.ignore_dots, good[n].i);
		assert_int_equal(o.verbose, good[n].v);
		assert_int_equal(o.sender == NULL, good[n].sender == NULL);
		assert_int_equal(o.name == NULL, good[n].name == NULL);
		if (o.sender != NULL)
			assert_string_equal(o.sender, good[n].sender);
		if (o.name != NULL)
			assert_string_equal(o.name, good[n].name);
	}
}

static void
test_bad(void **state)
{
	static const char *const lines[] = { "sendmail -f", "sendmail -z",
		"sendmail -tz", "sendmail --nonsense", "sendmail -B9BIT b",
		"sendmail -bd -q15m", "sendmail -bt", "sendmail -b ~",
		"sendmail -C /etc/x b", "sendmail -N sometimes b",
		"sendmail -N success, b", "sendmail -R half b",
		"sendmail -V ~ b", "sendmail -h ten b" };
	struct options o;
	(void)state;

	for (size_t i = 0; i < N_ELEMENTS(lines); i++) {
		if (parse(lines[i], &o))
			fail_msg("taken: %s", lines[i]);
		assert_non_null(o.problem);
	}
	assert_true(parse("sendmail -qRbob", &o));
	assert_true(str_eq(o.run, STR("Rbob")));
	assert_true(parse("sendmail --id --version", &o));
	assert_true(o.id && o.mode == MODE_VERSION);
}

static const struct {
	int status;
	const char *report;
	enum outcome_kind kind;
	const char *says; /* text, or the id of DONE */
} verdicts[] = {
	{ 0, "K000660d7b54cc277\n", OUTCOME_DONE, "000660d7b54cc277" },
	{ 0, "K\n", OUTCOME_DONE, "" },
	{ 0, "", OUTCOME_DONE, "" },
	{ 0, "Knonsense\n", OUTCOME_DONE, "" },
	{ 0, "D5.0.0 though it is done\n", OUTCOME_DONE, "" },
	{ 31 << 8, "D5.1.3 no address\n", OUTCOME_ADDRESS, "5.1.3 no address" },
	{ 31 << 8, "D5.6.0 a CR\n", OUTCOME_DATA, "5.6.0 a CR" },
	{ 31 << 8, "D5.3.4 big", OUTCOME_DATA, "5.3.4 big" },
	{ 31 << 8, "D5.7.1 no\x1b[1m\n", OUTCOME_REFUSED, "5.7.1 no?[1m" },
	{ 31 << 8, "", OUTCOME_REFUSED, "refused" },
	{ 53 << 8, "Z4.3.1 full\n", OUTCOME_LATER, "4.3.1 full" },
	{ 53 << 8, "", OUTCOME_LATER, "disk full" },
	{ 11 << 8, "", OUTCOME_DATA, "too long" },
	{ 35 << 8, "", OUTCOME_REFUSED, "exit code 35" },
	{ 41 << 8, "", OUTCOME_LATER, "exit code 41" },
	{ 81 << 8, "", OUTCOME_BUG, "bug" },
	{ 91 << 8, "", OUTCOME_BUG, "envelope" },
	{ 120 << 8, "", OUTCOME_LATER, "cannot run" },
	{ 9, "K000660d7b54cc277\n", OUTCOME_LATER, "killed" },
};

static void
test_verdicts(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(verdicts); i++) {
		struct outcome o;

		handoff_judge(
		    verdicts[i].status, str_of(verdicts[i].report), &o);
		assert_int_equal(o.kind, verdicts[i].kind);
		if (o.kind == OUTCOME_DONE)
			assert_string_equal(o.id, verdicts[i].says);
		else
			assert_non_null(
			    strstr(buf_cstr(&o.text), verdicts[i].says));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_verdicts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
