/* SPDX-License-Identifier: ISC
 * Unit tests of common/meaning: what the line of a setting must be.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "common/control.h"
#include "common/meaning.h"

static char greeting[512];

static void
test_values(void **state)
{
	static const struct {
		const char *name, *value;
		bool good;
	} cases[] = {
		{ "me", "mail.example.org", true }, { "me", "", false },
		{ "me", "two words", false }, { "me", "[192.0.2.1]", false },
		{ "helohost", "[192.0.2.1]", true },
		{ "helohost", "192.0.2.1", false },
		{ "bouncehost", "example.org", true },
		{ "defaultdomain", "", true },
		{ "defaultdomain", ".example.org", false },
		{ "postmaster", "alice@example.org", true },
		{ "postmaster", "not an address", false },
		{ "bouncefrom", "MAILER-DAEMON", true },
		{ "bouncefrom", "a@b.example", false },
		{ "smtpgreeting", "mail ready", true },
		{ "smtpgreeting", "caf\xc3\xa9", false },
		{ "filter", "anything", true }, /* known to those who use it */
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(cases); i++)
		if ((meaning_wrong(cases[i].name, str_of(cases[i].value)) ==
			NULL) != cases[i].good)
			fail_msg("%s %s", cases[i].name, cases[i].value);
	memset(greeting, 'x', sizeof(greeting));
	struct str s = { .p = greeting, .n = 506 };
	assert_null(meaning_wrong("smtpgreeting", s));
	s.n++;
	assert_non_null(meaning_wrong("smtpgreeting", s));
}

/* A default that were wrong would refuse every reload. */
static void
test_defaults_are_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < control_setting_count; i++) {
		const struct control_setting *s = &control_settings[i];
		if (s->kind == CONTROL_LINE && s->fallback != NULL &&
		    meaning_wrong(s->name, str_of(s->fallback)) != NULL)
			fail_msg("%s", s->name);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_defaults_are_good),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
