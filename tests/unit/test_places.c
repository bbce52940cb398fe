/* SPDX-License-Identifier: ISC
 * places: who gets the next place, and that nobody gets them all.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include "queue/index.h"
#include "queue/names.h"
#include "queue/places.h"
#include "tests/unit/destinations.h"

enum { N = 20, MANY = 64 };

static struct destination *held[MANY];
static uint32_t place[MANY];
static unsigned held_count;

static struct destination *
with_mail(struct str sender)
{
	struct destination *d = destination_fresh(SCHEDULE_REMOTE);
	(void)destination_mail(d, sender, 1);
	return d;
}

/* From a sender of its own. */
static struct destination *
with_any_mail(void)
{
	static unsigned count;
	char name[32];
	int n = snprintf(name, sizeof(name), "s%u@x", count++);
	return with_mail((struct str){ name, (size_t)n });
}

/* A destination whose mail is of that rank. */
static struct destination *
of_rank(enum rank rank)
{
	struct destination *d = destination_fresh(SCHEDULE_REMOTE);
	if (rank == RANK_BOUNCE) {
		(void)destination_mail(d, STR(""), 1);
	} else {
		(void)destination_mail(d, STR("news@x"), 101);
		lot_free(destination_take(d)); /* the first hundred */
	}
	assert_int_equal(destination_rank(d), rank);
	return d;
}

static bool
get(struct destination *d)
{
	if (!places_free(d))
		return false;
	held[held_count] = d;
	place[held_count++] = places_take(d);
	return true;
}

static void
give(unsigned i)
{
	places_give(held[i], place[i]);
	held_count--;
	held[i] = held[held_count];
	place[i] = place[held_count];
}

static unsigned
get_all(struct destination *(*next)(void))
{
	unsigned n = 0;
	while (n < MANY && get(next()))
		n++;
	return n;
}

static int
none_left(void **state)
{
	(void)state;
	while (held_count > 0)
		give(0);
	for (enum schedule_channel k = SCHEDULE_LOCAL; k <= SCHEDULE_REMOTE;
	     k++) {
		places_limit(k, MANY);
		while (places_next(k) != NULL)
			;
		assert_int_equal(places_starving_count(k), 0);
		places_limit(k, N);
	}
	return 0;
}

static struct destination *
bulk(void)
{
	return of_rank(RANK_BULK);
}

static struct destination *
bounce(void)
{
	return of_rank(RANK_BOUNCE);
}

static struct destination *
of_one_sender(void)
{
	return with_mail(STR("one@x"));
}

static struct destination *
suspect(void)
{
	struct destination *d = with_any_mail();
	d->failures = 1;
	return d;
}

static void
bulk_gets_three_quarters_and_normal_the_rest(void **state)
{
	(void)state;
	assert_int_equal(get_all(bounce), N / 2);
	assert_int_equal(get_all(bulk), N - N / 4 - N / 2);
	assert_int_equal(get_all(with_any_mail), N / 4);
}

static void
one_sender_gets_three_quarters(void **state)
{
	(void)state;
	assert_int_equal(get_all(of_one_sender), N - N / 4);
	assert_int_equal(get_all(with_any_mail), N / 4);
}

static void
what_failed_gets_a_quarter(void **state)
{
	(void)state;
	assert_int_equal(get_all(suspect), N / 4);
	assert_int_equal(get_all(with_any_mail), N - N / 4);
}

static void
a_second_connection_leaves_a_quarter_free(void **state)
{
	struct destination *d = with_any_mail();
	(void)state;
	unsigned n = 0;
	while (get(d))
		n++;
	assert_int_equal(n, N - N / 4);
	assert_false(d->starving);
}

static void
who_starves_is_served_by_rank(void **state)
{
	(void)state;
	assert_int_equal(get_all(with_any_mail), N);
	struct destination *b = of_rank(RANK_BOUNCE);
	struct destination *u = of_rank(RANK_BULK);
	struct destination *n = with_any_mail();
	while (places_next(SCHEDULE_REMOTE) != NULL)
		;
	assert_false(places_free(b));
	assert_false(places_free(u));
	assert_false(places_free(n));
	/* better mail came for the last one */
	(void)destination_mail(b, STR("bob@x"), 1);
	assert_false(places_free(b));
	assert_int_equal(places_starving_count(SCHEDULE_REMOTE), 4);
	struct destination *first = NULL;
	for (unsigned i = 0; i < 4; i++) {
		give(i); /* not a brief one */
		struct destination *d = places_next(SCHEDULE_REMOTE);
		assert_non_null(d);
		assert_true(get(d));
		if (i == 0)
			first = d; /* starved while all places were given */
		else if (i == 1)
			assert_ptr_equal(d, n);
		else
			assert_ptr_equal(d, i == 2 ? b : u);
	}
	assert_non_null(first);
}

static void
the_newest_in_line_gets_a_brief_place(void **state)
{
	(void)state;
	assert_int_equal(get_all(with_any_mail), N);
	assert_false(places_brief(place[N - N / 4 - 1]));
	assert_true(places_brief(place[N - N / 4]));
	assert_false(places_free(with_any_mail()));
	struct destination *newest = with_any_mail();
	assert_false(places_free(newest));
	/* no answer within its time */
	struct destination *silent = held[N - 1];
	silent->glimpsed = true;
	give(N - 1);
	assert_ptr_equal(places_next(SCHEDULE_REMOTE), newest);
	assert_false(places_free(silent));
	assert_int_equal(places_starving_count(SCHEDULE_REMOTE), 3);
	assert_int_equal(places_starving_fresh(SCHEDULE_REMOTE), 2);
	assert_true(get(newest));
	assert_true(places_brief(place[N - 1]));
	/* another place: for who has waited for the longest time */
	give(0);
	assert_ptr_equal(places_next(SCHEDULE_REMOTE), silent);
	assert_true(get(silent));
	assert_false(places_brief(place[N - 1]) || silent->glimpsed);
	/* the first brief one answers, and then takes no brief place any more:
	 * all the others are taken, whoever has this one */
	places_keep(place[N - N / 4]);
	assert_false(places_brief(place[N - N / 4]));
	give(1);
	assert_true(get(places_next(SCHEDULE_REMOTE)));
	assert_true(places_brief(place[N - 1]));
}

static void
the_mailbox_owner_needs_no_place(void **state)
{
	(void)state;
	struct destination *user = destination_fresh(SCHEDULE_LOCAL);
	(void)destination_mail(user, STR("bob@x"), 1);
	places_limit(SCHEDULE_LOCAL, 1);
	assert_true(get(user));
	struct destination *other = destination_fresh(SCHEDULE_LOCAL);
	(void)destination_mail(other, STR("bob@x"), 1);
	assert_false(get(other));
	struct destination *owner =
	    destination_get(SCHEDULE_LOCAL, STR(""), STR(""));
	assert_true(get(owner));
	places_limit(SCHEDULE_LOCAL, 0);
	assert_false(places_free(owner));
}

static void
patience_ends_with_many_who_wait(void **state)
{
	(void)state;
	assert_int_equal(places_patience(SCHEDULE_REMOTE), N - N / 4);
	(void)get_all(with_any_mail);
	for (unsigned i = 0; i < 4; i++)
		assert_false(places_free(with_any_mail()));
	assert_int_equal(places_patience(SCHEDULE_REMOTE), N - N / 4 - 5);
	for (unsigned i = 0; i < N; i++)
		assert_false(places_free(with_any_mail()));
	assert_int_equal(places_patience(SCHEDULE_REMOTE), N / 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(
		    bulk_gets_three_quarters_and_normal_the_rest, none_left),
		cmocka_unit_test_setup(
		    one_sender_gets_three_quarters, none_left),
		cmocka_unit_test_setup(what_failed_gets_a_quarter, none_left),
		cmocka_unit_test_setup(
		    a_second_connection_leaves_a_quarter_free, none_left),
		cmocka_unit_test_setup(
		    who_starves_is_served_by_rank, none_left),
		cmocka_unit_test_setup(
		    the_newest_in_line_gets_a_brief_place, none_left),
		cmocka_unit_test_setup(
		    the_mailbox_owner_needs_no_place, none_left),
		cmocka_unit_test_setup(
		    patience_ends_with_many_who_wait, none_left),
	};
	return cmocka_run_group_tests(tests, destinations_set_up, NULL);
}
