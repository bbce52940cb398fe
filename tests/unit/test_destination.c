/* SPDX-License-Identifier: ISC
 * destination: turns between senders, lots, what is learnt of a host.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include "queue/destination.h"
#include "queue/index.h"
#include "queue/names.h"
#include "tests/unit/destinations.h"

static uint32_t
take(struct destination *d)
{
	struct lot *peeked = destination_peek(d);
	struct lot *lot = destination_take(d);
	assert_ptr_equal(lot, peeked);
	if (lot == NULL)
		return 0;
	uint32_t m = lot->message;
	lot_free(lot);
	return m;
}

static void
senders_take_turns(void **state)
{
	struct destination *d = destination_fresh(SCHEDULE_REMOTE);
	uint32_t bulk[10], other[2];
	(void)state;
	for (unsigned i = 0; i < 10; i++)
		bulk[i] = destination_mail(d, STR("bulk@x"), 1);
	for (unsigned i = 0; i < 2; i++)
		other[i] = destination_mail(d, STR("bob@x"), 1);
	uint32_t single = destination_mail(d, STR("jane@x"), 1);
	assert_int_equal(d->waiting, 13);
	const uint32_t want[] = { bulk[0], other[0], single, bulk[1], other[1],
		bulk[2], bulk[3], bulk[4], bulk[5], bulk[6], bulk[7], bulk[8],
		bulk[9], 0 };
	for (size_t i = 0; i < N_ELEMENTS(want); i++)
		assert_int_equal(take(d), want[i]);
	assert_int_equal(d->waiting, 0);
}

static void
a_lot_is_one_message_of_at_most_100(void **state)
{
	struct destination *d = destination_fresh(SCHEDULE_REMOTE);
	(void)state;
	uint32_t m = destination_mail(d, STR("a@x"), 250);
	uint32_t other = destination_mail(d, STR("a@x"), 1);
	assert_int_equal(d->waiting, 4);
	/* the first hundred are as good as anybody's, the rest is bulk */
	const unsigned sizes[] = { 100, 1, 100, 50 };
	for (size_t i = 0; i < N_ELEMENTS(sizes); i++) {
		struct lot *lot = destination_take(d);
		assert_int_equal(lot->n, sizes[i]);
		assert_int_equal(lot->left, sizes[i]);
		assert_int_equal(lot->message, i == 1 ? other : m);
		for (uint32_t k = 0; k < lot->n; k++)
			assert_true(str_eq(
			    names_str(lot_entry(lot, k)->target), STR("box")));
		lot_free(lot);
	}
}

static void
better_ranks_go_first_and_none_starves(void **state)
{
	struct destination *d = destination_fresh(SCHEDULE_REMOTE);
	unsigned seen[RANKS] = { 0 };
	(void)state;
	for (unsigned i = 0; i < 60; i++)
		(void)destination_mail(d, STR(""), 1);
	(void)destination_mail(
	    d, STR("news@x"), 10000); /* 1 normal lot, 99 of bulk */
	for (unsigned i = 0; i < 90; i++)
		(void)destination_mail(d, STR("bob@x"), 1);
	assert_int_equal(d->waiting_of[RANK_NORMAL], 91);
	assert_int_equal(d->waiting_of[RANK_BULK], 99);
	assert_int_equal(d->waiting_of[RANK_BOUNCE], 60);
	for (unsigned i = 0; i < 64; i++) {
		struct lot *lot = destination_take(d);
		seen[lot->rank]++;
		lot_free(lot);
	}
	assert_int_equal(seen[RANK_NORMAL], 56);
	assert_int_equal(seen[RANK_BULK], 6);
	assert_int_equal(seen[RANK_BOUNCE], 2);
	while (take(d) != 0)
		;
	assert_int_equal(d->waiting, 0);
}

static void
a_sender_of_many_messages_is_bulk(void **state)
{
	struct destination *d = destination_fresh(SCHEDULE_REMOTE);
	(void)state;
	for (unsigned i = 0; i < 150; i++)
		(void)destination_mail(d, STR("many@x"), 1);
	assert_int_equal(d->waiting_of[RANK_NORMAL], 100);
	assert_int_equal(d->waiting_of[RANK_BULK], 50);
	while (take(d) != 0)
		;
}

static void
normal_mail_opens_one_more_beside_bulk(void **state)
{
	struct destination *d = destination_fresh(SCHEDULE_REMOTE);
	(void)state;
	(void)destination_mail(d, STR("bob@x"), 1);
	d->open = 1;
	assert_false(destination_needs_agent(d));
	d->flying_of[RANK_BULK] = 1;
	assert_true(destination_needs_agent(d));
	d->connecting = 1;
	assert_false(destination_needs_agent(d));
	d->open = d->connecting = d->flying_of[RANK_BULK] = 0;
	while (take(d) != 0)
		;
}

static void
what_is_put_back_comes_next(void **state)
{
	struct destination *d = destination_fresh(SCHEDULE_REMOTE);
	(void)state;
	uint32_t a1 = destination_mail(d, STR("a@x"), 1);
	uint32_t a2 = destination_mail(d, STR("a@x"), 1);
	uint32_t b1 = destination_mail(d, STR("b@x"), 1);
	struct lot *lot = destination_take(d);
	assert_int_equal(lot->message, a1);
	destination_back(d, lot);
	assert_int_equal(take(d), b1); /* a@x had its turn */
	assert_int_equal(take(d), a1);
	assert_int_equal(take(d), a2);
	lot = lot_new(a1);
	lot_add(lot, 1, 0);
	destination_back(d, lot); /* into an empty one */
	assert_int_equal(take(d), a1);
	assert_int_equal(take(d), 0);
}

static void
ten_messages_need_one_connection(void **state)
{
	struct destination *d = destination_fresh(SCHEDULE_REMOTE);
	(void)state;
	assert_false(destination_needs_agent(d));
	for (unsigned i = 0; i < 10; i++)
		(void)destination_mail(d, STR("a@x"), 1);
	assert_true(destination_needs_agent(d));
	d->open = 1;
	assert_false(destination_needs_agent(d));
	for (unsigned i = 0; i < 11; i++)
		(void)destination_mail(d, STR("a@x"), 1);
	assert_true(destination_needs_agent(d)); /* 21 wait for one */
	d->open = 2;
	assert_false(destination_needs_agent(d));
	d->open = 0;
	while (take(d) != 0)
		;
}

static void
concurrency_grows_and_shrinks(void **state)
{
	struct destination *d = destination_fresh(SCHEDULE_REMOTE);
	(void)state;
	assert_int_equal(d->limit, LIMIT_FIRST);
	for (unsigned i = 0; i < 1000; i++)
		destination_success(d);
	assert_int_equal(d->limit, HOSTRULE_CONNECTIONS);
	destination_failure(d, 5000, STR("4.4.1 refused"));
	assert_int_equal(d->limit, HOSTRULE_CONNECTIONS / 2);
	assert_int_equal(d->rest_until, 5000 + 60000);
	destination_failure(d, 100000, STR("4.4.1 refused again"));
	assert_int_equal(d->rest_until, 100000 + 120000);
	assert_true(str_eq(names_str(d->text), STR("4.4.1 refused again")));
	d->limit = 3;
	for (unsigned i = 0; i < 100; i++)
		destination_deferred(d);
	assert_int_equal(d->limit, 1);
	destination_success(d);
	assert_int_equal(d->rest_until, 0);
	assert_int_equal(d->failures, 0);
}

static void
what_failed_is_remembered_a_while(void **state)
{
	(void)state;
	struct destination *d =
	    destination_get(SCHEDULE_REMOTE, STR("dead.example"), STR(""));
	destination_failure(d, 0, STR("no"));
	destination_release(d, 61000);
	assert_ptr_equal(
	    d, destination_get(SCHEDULE_REMOTE, STR("dead.example"), STR("")));
	assert_int_equal(d->failures, 1);
	destinations_sweep((int64_t)7 * 3600 * 1000);
	d = destination_get(SCHEDULE_REMOTE, STR("dead.example"), STR(""));
	assert_int_equal(d->failures, 0);
	destination_release(d, 0);
	assert_int_equal(names_find(STR("dead.example")), 0);
}

static bool
is_queued(uint32_t rcpt)
{
	return rcpt_at(rcpt)->state == RCPT_QUEUED;
}

static void
what_was_removed_goes_and_turns_stay(void **state)
{
	struct destination *d = destination_fresh(SCHEDULE_REMOTE);
	uint32_t m[7];
	(void)state;
	destination_trim(d, is_queued);
	static const char *const from[] = { "a@x", "b@x", "c@x", "a@x", "a@x",
		"c@x", "b@x" };
	for (size_t i = 0; i < N_ELEMENTS(m); i++)
		m[i] = destination_mail(d, str_of(from[i]), 2);
	destination_trim(d, is_queued);
	assert_int_equal(d->waiting, 7);
	static const size_t gone[] = { 1, 3, 6 }; /* all of b's, one of a's */
	for (size_t i = 0; i < N_ELEMENTS(gone); i++)
		for (uint32_t r = message_at(m[gone[i]])->first; r != 0;
		     r = rcpt_at(r)->sibling)
			rcpt_set(r, RCPT_MARKING);
	rcpt_set(message_at(m[2])->first, RCPT_MARKING);
	destination_trim(d, is_queued);
	assert_int_equal(d->waiting, 4);
	const uint32_t want[] = { m[0], m[2], m[4], m[5], 0 };
	for (size_t i = 0; i < N_ELEMENTS(want); i++) {
		if (i == 1)
			assert_int_equal(destination_peek(d)->n, 1);
		assert_int_equal(take(d), want[i]);
	}
	uint32_t last = destination_mail(d, STR("a@x"), 1);
	rcpt_set(message_at(last)->first, RCPT_MARKING);
	destination_trim(d, is_queued);
	assert_int_equal(d->waiting, 0);
	assert_null(destination_peek(d));
	assert_int_equal(take(d), 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(senders_take_turns),
		cmocka_unit_test(a_lot_is_one_message_of_at_most_100),
		cmocka_unit_test(better_ranks_go_first_and_none_starves),
		cmocka_unit_test(a_sender_of_many_messages_is_bulk),
		cmocka_unit_test(normal_mail_opens_one_more_beside_bulk),
		cmocka_unit_test(what_is_put_back_comes_next),
		cmocka_unit_test(ten_messages_need_one_connection),
		cmocka_unit_test(concurrency_grows_and_shrinks),
		cmocka_unit_test(what_failed_is_remembered_a_while),
		cmocka_unit_test(what_was_removed_goes_and_turns_stay),
	};
	return cmocka_run_group_tests(tests, destinations_set_up, NULL);
}
