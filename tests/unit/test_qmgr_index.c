/* SPDX-License-Identifier: ISC
 * index, names, due: qmgr's memory.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include "queue/due.h"
#include "queue/index.h"
#include "queue/names.h"

static int
set_up(void **state)
{
	(void)state;
	names_init();
	index_init();
	return 0;
}

static struct str
numbered(char space[32], unsigned i)
{
	int n = snprintf(space, 32, "user%u@example", i);
	return (struct str){ .p = space, .n = (size_t)n };
}

static void
names_are_kept_once(void **state)
{
	enum { MANY = 5000 };
	static uint32_t taken[MANY];
	char space[32];
	(void)state;
	assert_int_equal(names_take(STR("")), 0);
	assert_int_equal(names_str(0).n, 0);
	for (unsigned i = 0; i < MANY; i++)
		taken[i] = names_take(numbered(space, i));
	for (unsigned i = 0; i < MANY; i++) {
		struct str s = numbered(space, i);
		assert_true(str_eq(names_str(taken[i]), s));
		assert_int_equal(names_take(s), taken[i]);
	}
	uint64_t memory = names_memory();
	for (unsigned i = 0; i < MANY; i++) {
		names_drop(taken[i]);
		assert_int_equal(names_find(numbered(space, i)), taken[i]);
		names_drop(taken[i]);
		assert_int_equal(names_find(numbered(space, i)), 0);
	}
	for (unsigned i = 0; i < MANY; i++)
		(void)names_take(numbered(space, i + MANY));
	assert_int_equal(names_memory(), memory);
}

static void
names_of_every_length(void **state)
{
	static char long_one[NAME_MAX_BYTES + 10];
	uint32_t taken[NAME_MAX_BYTES + 10];
	(void)state;
	for (size_t i = 0; i < sizeof(long_one); i++)
		long_one[i] = (char)('a' + i % 26);
	for (size_t n = 1; n < sizeof(long_one); n++)
		taken[n] = names_take((struct str){ long_one, n });
	for (size_t n = 1; n < sizeof(long_one); n++) {
		size_t kept = n < NAME_MAX_BYTES ? n : NAME_MAX_BYTES;
		assert_int_equal(names_str(taken[n]).n, kept);
		names_drop(taken[n]);
	}
}

static void
messages_come_and_go(void **state)
{
	enum { MANY = 3000 };
	char space[32];
	(void)state;
	for (unsigned i = 1; i <= MANY; i++) {
		uint32_t m = index_add(i, 5, 100, STR("a@b"), 0);
		for (unsigned r = 0; r < 3; r++)
			(void)index_add_rcpt(m, r, numbered(space, r));
	}
	assert_int_equal(index_messages(), MANY);
	assert_int_equal(index_count(RCPT_NEW, false), 3 * MANY);
	for (unsigned i = 1; i <= MANY; i++) {
		uint32_t m = index_find(i);
		assert_int_not_equal(m, 0);
		assert_int_equal(message_id(message_at(m)), i);
		uint32_t hint = 0;
		for (unsigned r = 0; r < 3; r++) {
			uint32_t rcpt = index_find_rcpt(m, r, &hint);
			assert_int_not_equal(rcpt, 0);
			assert_int_equal(rcpt_at(rcpt)->idx, r);
			rcpt_set(rcpt, RCPT_FLYING);
			assert_int_equal(message_at(m)->busy, 1);
			rcpt_set(rcpt, RCPT_DONE);
			assert_int_equal(message_at(m)->busy, 0);
			assert_int_equal(message_at(m)->live, 2 - r);
			assert_int_equal(index_sweep(m), r < 2);
			hint = 0;
		}
		assert_int_equal(index_find(i), 0);
	}
	assert_int_equal(index_messages(), 0);
	assert_int_equal(index_rcpts(), 0);
	for (int s = RCPT_NEW; s < RCPT_STATES; s++)
		assert_int_equal(index_count((enum rcpt_state)s, false), 0);
}

static void
recipients_are_found_from_any_hint(void **state)
{
	(void)state;
	uint32_t m = index_add(77, 5, 100, STR(""), 0);
	uint32_t rcpts[20];
	for (unsigned i = 0; i < 20; i++)
		rcpts[i] = index_add_rcpt(m, i * 2, STR("x@y"));
	for (unsigned from = 0; from < 20; from++) {
		for (unsigned i = 0; i < 41; i++) {
			uint32_t hint = rcpts[from];
			uint32_t want = i % 2 == 0 && i < 40 ? rcpts[i / 2] : 0;
			assert_int_equal(index_find_rcpt(m, i, &hint), want);
		}
	}
	for (unsigned i = 0; i < 20; i++)
		rcpt_set(rcpts[i], RCPT_DONE);
	message_at(m)->flags |= MESSAGE_MORE;
	assert_true(index_sweep(m)); /* more are to come */
	message_at(m)->flags = 0;
	assert_false(index_sweep(m));
}

static void
the_soonest_comes_first(void **state)
{
	enum { MANY = 2000 };
	static uint32_t rcpts[MANY];
	(void)state;
	uint32_t m = index_add(78, 5, 100, STR(""), 0);
	uint32_t mixed = 1;
	for (unsigned i = 0; i < MANY; i++) {
		rcpts[i] = index_add_rcpt(m, i, STR("x@y"));
		rcpt_set(rcpts[i], RCPT_WAITING);
		mixed = mixed * 1664525 + 1013904223;
		due_put(rcpts[i], (mixed >> 16) % 500);
	}
	for (unsigned i = 0; i < MANY; i += 3) {
		due_remove(rcpts[i]);
		rcpt_set(rcpts[i], RCPT_DONE);
	}
	uint32_t before = 0;
	uint32_t rcpt;
	while ((rcpt = due_first()) != 0) {
		assert_true(rcpt_at(rcpt)->due >= before);
		assert_int_equal(rcpt_at(rcpt)->state, RCPT_WAITING);
		before = rcpt_at(rcpt)->due;
		due_remove(rcpt);
		rcpt_set(rcpt, RCPT_DONE);
	}
	assert_false(index_sweep(m));
}

static void
a_recipient_is_small(void **state)
{
	(void)state;
	assert_true(sizeof(struct rcpt) <= 32);
	assert_true(sizeof(struct message) <= 48);
}

static void
a_message_has_no_more_recipients_than_it_can_count(void **state)
{
	(void)state;
	uint32_t m = index_add(77777, 5, 100, STR("a@x"), 0);
	for (uint32_t i = 0; i < RCPTS_MAX; i++)
		rcpt_set(index_add_rcpt(m, i, STR("x@y")), RCPT_ASKING);
	assert_int_equal(index_add_rcpt(m, RCPTS_MAX, STR("x@y")), 0);
	assert_int_equal(message_at(m)->live, RCPTS_MAX);
	assert_int_equal(message_at(m)->busy, RCPTS_MAX);
	for (uint32_t r = message_at(m)->first; r != 0; r = rcpt_at(r)->sibling)
		rcpt_set(r, RCPT_DONE);
	assert_int_equal(message_at(m)->busy, 0);
	assert_false(index_sweep(m));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_message_has_no_more_recipients_than_it_can_count),
		cmocka_unit_test(names_are_kept_once),
		cmocka_unit_test(names_of_every_length),
		cmocka_unit_test(messages_come_and_go),
		cmocka_unit_test(recipients_are_found_from_any_hint),
		cmocka_unit_test(the_soonest_comes_first),
		cmocka_unit_test(a_recipient_is_small),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
