/* SPDX-License-Identifier: ISC
 * Unit test of inject/addrlist, token and words.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "inject/addrlist.h"
#include "inject/phrase.h"
#include "inject/words.h"

static const struct addr_defaults defaults = {
	.host = { .p = "here.example", .n = 12 },
	.plusdomain = { .p = "plus.example", .n = 12 },
};

static const struct addr_defaults with_domain = {
	.host = { .p = "here.example", .n = 12 },
	.domain = { .p = "dom.example", .n = 11 },
};

static void
add(void *arg, struct str address)
{
	struct buf *b = arg;

	buf_put(b, address);
	buf_putc(b, '|');
}

static const struct {
	const char *in;
	const char *addresses; /* each with a | behind it; NULL: refused */
	const char *out;
} cases[] = {
	{ "alice@crepes.fr", "alice@crepes.fr|", "alice@crepes.fr" },
	{ " alice", "alice@here.example|", " alice@here.example" },
	{ "a@localhost, b@LOCALHOST.localdomain",
	    "a@here.example|b@here.example|",
	    "a@here.example, b@here.example" },
	{ "a@host", "a@host|", "a@host" },
	{ "a@host+", "a@host.plus.example|", "a@host.plus.example" },
	{ "A.b@X.Example", "A.b@x.example|", "A.b@X.Example" },
	{ " root (Cron Daemon)", "root@here.example|",
	    " root@here.example (Cron Daemon)" },
	{ "Bob <bob>", "bob@here.example|", "Bob <bob@here.example>" },
	{ "<bob@x.y>", "bob@x.y|", "<bob@x.y>" },
	{ "Bob Q. Public <bob@x.y>", "bob@x.y|", "Bob Q. Public <bob@x.y>" },
	{ "\"Public, Bob\" <bob@x.y>, c", "bob@x.y|c@here.example|",
	    "\"Public, Bob\" <bob@x.y>, c@here.example" },
	{ "bob@x.y <bob@x.y>", "bob@x.y|", "\"bob@x.y\" <bob@x.y>" },
	{ "Bob [home] <bob@x.y>", "bob@x.y|", "\"Bob [home]\" <bob@x.y>" },
	{ "a@x.y,,b@x.y, ,", "a@x.y|b@x.y|", "a@x.y,b@x.y" },
	{ "a@x.y,\n\tb@x.y", "a@x.y|b@x.y|", "a@x.y,\n\tb@x.y" },
	{ "a (one (two\\)) three)@ (four) x.y (five)", "a@x.y|",
	    "a@x.y (one (two\\)) three) (four)  (five)" },
	{ "a . b @ x . y", "a.b@x.y|", "a.b@x.y      " },
	{ "<@one,@two:a@x.y>", "a@x.y|", "<a@x.y>" },
	{ "B <@one:a@x.y> (c)", "a@x.y|", "B <a@x.y> (c)" },
	{ "friends: a@x.y, b;", "a@x.y|b@here.example|",
	    "friends: a@x.y, b@here.example;" },
	{ "undisclosed-recipients:;", "", "undisclosed-recipients:;" },
	{ "empty: ;, c@x.y", "c@x.y|", "empty:;, c@x.y" },
	{ "\"a b\"@x.y", "\"a b\"@x.y|", "\"a b\"@x.y" },
	{ "\"ab\"@x.y", "ab@x.y|", "\"ab\"@x.y" },
	{ "a@[192.0.2.1]", "a@[192.0.2.1]|", "a@[192.0.2.1]" },
	{ "J\xc3\xb6rg M\xc3\xbcller <j@x.y>", "j@x.y|",
	    "=?utf-8?Q?J=C3=B6rg_M=C3=BCller?= <j@x.y>" },
	{ "\"M\xc3\xbcller, J\" <j@x.y>", "j@x.y|",
	    "=?utf-8?Q?M=C3=BCller=2C_J?= <j@x.y>" },
	{ "j@x.y (J\xf6rg)", "j@x.y|", "j@x.y (=?unknown-8bit?Q?J=F6rg?=)" },
	{ "=?utf-8?Q?J=C3=B6rg?= <j@x.y>", "j@x.y|",
	    "=?utf-8?Q?J=C3=B6rg?= <j@x.y>" },
	{ "", "", "" },
	{ " (nobody)", "", "" },

	{ "bob carol", NULL, "put a comma" },
	{ "a@x.y; b@x.y", NULL, "put commas, not semicolons" },
	{ "Bob <bob@x.y", NULL, "< without its >" },
	{ "bob@x.y>", NULL, "do not match" },
	{ "<<a@x.y>>", NULL, "do not match" },
	{ "<a@x.y> <b@x.y>", NULL, "put a comma" },
	{ "<>", NULL, "no address between" },
	{ "a@", NULL, "no address" },
	{ "@x.y", NULL, "no address" },
	{ "a..b@x.y", NULL, "no address" },
	{ "a@-x", NULL, "no address" },
	{ "\"a@x.y", NULL, "unbalanced" },
	{ "a@x.y (b", NULL, "unbalanced" },
	{ "a@[1.2.3.4", NULL, "unbalanced" },
	{ "a: b@x.y", NULL, "group" },
	{ "a: b: c;", NULL, "colon" },
	{ ": a;", NULL, "colon" },
	{ "a:; b@x.y", NULL, "comma behind the group" },
	{ "j\xc3\xb6rg@x.y", NULL, "SMTPUTF8" },
	{ "a\x01@x.y", NULL, "unbalanced" },
};

static struct addrlist list;

static void
test_lists(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		char out_room[1024], got_room[1024];
		struct buf out = BUF_ON(out_room), got = BUF_ON(got_room);

		list = (struct addrlist){ .defaults = &defaults,
			.out = &out,
			.each = add,
			.arg = &got };
		bool ok = addrlist_run(&list, str_of(cases[i].in));

		if (ok != (cases[i].addresses != NULL))
			fail_msg(
			    "%s: %s", cases[i].in, ok ? "taken" : list.problem);
		if (!ok) {
			assert_non_null(strstr(list.problem, cases[i].out));
			continue;
		}
		assert_string_equal(buf_cstr(&got), cases[i].addresses);
		assert_string_equal(buf_cstr(&out), cases[i].out);
		assert_int_equal(list.empty, cases[i].out[0] == '\0');
	}
}

static void
expect(const struct addr_defaults *d, bool null, const char *in,
    const char *addresses)
{
	char room[1024];
	struct buf got = BUF_ON(room);

	list = (struct addrlist){
		.defaults = d, .each = add, .arg = &got, .allow_null = null
	};
	assert_true(addrlist_run(&list, str_of(in)));
	assert_string_equal(buf_cstr(&got), addresses);
}

static void
test_domain_and_null(void **state)
{
	(void)state;
	expect(&with_domain, false, "a@host, b@x.y, c@[192.0.2.1]",
	    "a@host.dom.example|b@x.y|c@[192.0.2.1]|");
	expect(&defaults, true, "<>", "|");
	expect(&defaults, true, " <a@x.y>", "a@x.y|");
}

static void
test_bounds(void **state)
{
	static char text[70000];
	(void)state;

	memset(text, 'a', sizeof(text) - 1);
	list = (struct addrlist){ .defaults = &defaults };
	assert_false(addrlist_run(&list, str_of(text)));
	assert_non_null(strstr(list.problem, "too long"));
	for (size_t i = 0; i + 1 < sizeof(text); i++)
		text[i] = i % 2 == 0 ? 'a' : '.';
	assert_false(addrlist_run(&list, str_of(text)));
	memset(text, '(', sizeof(text) - 1);
	assert_false(addrlist_run(&list, str_of(text)));
	for (size_t i = 0; i + 1 < sizeof(text); i++)
		text[i] = i % 2 == 0 ? 'a' : ',';
	assert_true(addrlist_run(&list, str_of(text)));
	assert_int_equal(list.mailboxes, (sizeof(text) - 1 + 1) / 2);
}

static void
test_names(void **state)
{
	static const struct {
		const char *in, *out;
	} names[] = {
		{ "Bob Public", "Bob Public" },
		{ "Bob Q. Public", "\"Bob Q. Public\"" },
		{ "Bob \"the\" \\ Public", "\"Bob \\\"the\\\" \\\\ Public\"" },
		{ "Bob\nBcc: x@y", "\"Bob Bcc: x@y\"" },
		{ "J\xc3\xb6rg", "=?utf-8?Q?J=C3=B6rg?=" },
	};
	(void)state;

	for (size_t i = 0; i < N_ELEMENTS(names); i++) {
		char room[256];
		struct buf b = BUF_ON(room);

		phrase_put_name(&b, str_of(names[i].in));
		assert_string_equal(buf_cstr(&b), names[i].out);
	}
}

static void
expect_text(const char *in, const char *out)
{
	char room[4096];
	struct buf b = BUF_ON(room);

	buf_puts(&b, "Subject:");
	words_put_text(&b, str_of(in));
	assert_string_equal(buf_cstr(&b) + 8, out);
}

static void
test_text(void **state)
{
	(void)state;
	expect_text(" plain", " plain");
	expect_text(
	    " a gr\xc3\xbc\xc3\x9f b", " a =?utf-8?Q?gr=C3=BC=C3=9F?= b");
	expect_text(
	    " \xc3\xbc and \xc3\xbc!", " =?utf-8?Q?=C3=BC_and_=C3=BC!?=");
	expect_text(" \xfc", " =?unknown-8bit?Q?=FC?=");
	/* characters stay whole, words and lines within 75 and 76 */
	expect_text(" \xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"
		    "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac",
	    " =?utf-8?Q?=E2=82=AC=E2=82=AC=E2=82=AC=E2=82=AC=E2=82=AC=E2=82=AC"
	    "?=\n =?utf-8?Q?=E2=82=AC=E2=82=AC?=");
	/* no line of nothing but space */
	expect_text("                                                       "
		    "                            \xc3\xbc",
	    "                                                           "
	    "                        \n =?utf-8?Q?=C3=BC?=");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_domain_and_null),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
