/* SPDX-License-Identifier: ISC
 * Tests of queue/select: patterns, and what a selection leaves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "queue/select.h"

static void
test_glob(void **state)
{
	(void)state;
	static const struct {
		const char *pattern, *text;
		bool matches;
	} cases[] = {
		{ "", "", true },
		{ "", "a", false },
		{ "*", "", true },
		{ "*", "anything", true },
		{ "**", "x", true },
		{ "?", "", false },
		{ "?", "x", true },
		{ "?", "xy", false },
		{ "Bob@Example.ORG", "bob@example.org", true },
		{ "bob@example.org", "bob@example.org.evil", false },
		{ "*@example.org", "bob@example.org", true },
		{ "*@example.org", "bob@sub.example.org", false },
		{ "*.example.org", "mail.example.org", true },
		{ "a*b*c", "aXXbYYbZZc", true },
		{ "a*b*c", "aXXbYYbZZ", false },
		{ "*aab", "aaaaaaab", true },
		{ "*a?b", "aaacb", true },
		{ "a*", "b", false },
	};
	for (size_t i = 0; i < N_ELEMENTS(cases); i++)
		assert_int_equal(select_glob(str_of(cases[i].pattern),
				     str_of(cases[i].text)),
		    cases[i].matches);
}

static void
test_message(void **state)
{
	(void)state;
	const struct selected_message m = { .id = 5,
		.birth = 100,
		.size = 1000,
		.sender = STR("a@b.example") };
	const struct selected_message null = { .id = 6, .birth = 100 };
	assert_true(selection_message(&(struct selection){ 0 }, &m));
	assert_true(selection_message(&(struct selection){ .id = 5 }, &m));
	assert_false(selection_message(&(struct selection){ .id = 6 }, &m));
	for (uint64_t t = 99; t <= 101; t++) {
		assert_int_equal(selection_message(
				     &(struct selection){ .born_from = t }, &m),
		    t <= 100);
		assert_int_equal(
		    selection_message(
			&(struct selection){ .born_until = t }, &m),
		    t >= 100);
	}
	assert_true(
	    selection_message(&(struct selection){ .size_from = 1000 }, &m));
	assert_false(
	    selection_message(&(struct selection){ .size_from = 1001 }, &m));
	assert_false(
	    selection_message(&(struct selection){ .size_until = 999 }, &m));
	const struct selection none = { .sender = STR("<>") };
	assert_true(selection_message(&none, &null));
	assert_false(selection_message(&none, &m));
	const struct selection some = { .sender = STR("*@B.example") };
	assert_true(selection_message(&some, &m));
	assert_false(selection_message(&some, &null));
}

static void
test_rcpt(void **state)
{
	(void)state;
	struct str a = STR("\"x@y\"@Mail.Example");
	struct str why = STR("4.4.1 Connection timed out");
	assert_true(selection_rcpt(&(struct selection){ 0 }, 'w', a, why));
	assert_true(selection_rcpt(
	    &(struct selection){ .states = STR("hw") }, 'w', a, why));
	assert_false(selection_rcpt(
	    &(struct selection){ .states = STR("h") }, 'w', a, why));
	assert_true(selection_rcpt(
	    &(struct selection){ .domain = STR("mail.example") }, 'w', a, why));
	assert_false(selection_rcpt(
	    &(struct selection){ .domain = STR("y") }, 'w', a, why));
	assert_true(selection_rcpt(
	    &(struct selection){ .reason = STR("TIMED out") }, 'w', a, why));
	assert_false(selection_rcpt(
	    &(struct selection){ .reason = STR("4.4.1*refused") }, 'w', a,
	    why));
	assert_true(selection_rcpt(
	    &(struct selection){ .reason = STR("4.4.1*out") }, 'w', a, why));
	assert_false(selection_rcpt(
	    &(struct selection){ .reason = STR("x") }, 'w', a, STR("")));
}

static void
test_travels(void **state)
{
	(void)state;
	const struct selection s = { .id = 1,
		.born_from = 2,
		.born_until = 3,
		.size_from = 4,
		.size_until = 5,
		.sender = STR("a"),
		.rcpt = STR("b"),
		.domain = STR("c"),
		.reason = STR("d"),
		.states = STR("wh") };
	char space[256];
	struct buf b = BUF_ON(space);
	packet_begin(&b, 'L');
	selection_put(&b, &s);
	for (size_t n = 1; n < b.n; n++) {
		struct packet p = packet_open(str_head(buf_str(&b), n));
		struct selection got;
		selection_get(&p, &got);
		assert_true(p.bad);
	}
	struct packet p = packet_open(buf_str(&b));
	struct selection got;
	selection_get(&p, &got);
	assert_true(packet_end(&p));
	assert_true(got.id == 1 && got.born_from == 2 && got.born_until == 3 &&
		    got.size_from == 4 && got.size_until == 5);
	assert_true(str_eq(got.sender, s.sender) && str_eq(got.rcpt, s.rcpt) &&
		    str_eq(got.domain, s.domain) &&
		    str_eq(got.reason, s.reason) &&
		    str_eq(got.states, s.states));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_glob),
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_rcpt),
		cmocka_unit_test(test_travels),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
