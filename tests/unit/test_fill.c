/* SPDX-License-Identifier: ISC
 * test_fill: when a batch waits for more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "queue/fill.h"

enum { SENDERS = 100, NOW = 80000 };

static int64_t seen[SENDERS];

/* Each of `senders` brings `each` messages in one tick. */
static struct fill
busy(unsigned senders, unsigned each)
{
	struct fill p = { .tick = 0 };
	memset(seen, 0, sizeof(seen));
	for (unsigned i = 0; i < each; i++)
		for (unsigned s = 0; s < senders; s++)
			fill_message(&p, NOW, &seen[s]);
	return p;
}

static void
test_nobody_else(void **state)
{
	(void)state;
	struct fill p = { .tick = 0 };
	assert_int_equal(fill_wait(&p, NOW, 1), 0);
	assert_int_equal(fill_wait(&p, NOW, 0), 0); /* nobody at all */
	p = busy(1, 60);			    /* alone, and fast */
	assert_int_equal(fill_wait(&p, NOW, 1), 0);
	p = busy(7, 10); /* too few for it to pay */
	assert_int_equal(fill_wait(&p, NOW, 1), 0);
}

static void
test_many(void **state)
{
	(void)state;
	struct fill p = busy(50, 4); /* 25 a millisecond */
	int64_t one = fill_wait(&p, NOW, 1);
	assert_true(one > 200 && one <= FILL_MAX_US);
	int64_t five = fill_wait(&p, NOW, 5);
	assert_true(five > 0 && five < one); /* two more: some 90 us */
	assert_int_equal(fill_wait(&p, NOW, 7), 0);
	assert_int_equal(fill_wait(&p, NOW, 50), 0);
	assert_int_equal(fill_wait(&p, NOW, 200), 0);
}

/* The next tick has begun: the one before still tells who is active. */
static void
test_time_passes(void **state)
{
	(void)state;
	struct fill p = busy(50, 4);
	assert_true(fill_wait(&p, NOW + FILL_TICK_MS, 1) > 0);
	assert_int_equal(fill_wait(&p, NOW + 2 * FILL_TICK_MS, 1), 0);
	p = busy(50, 4);
	assert_int_equal(fill_wait(&p, NOW + 60000, 1), 0);
	p = busy(50, 4); /* a clock that goes back does no harm */
	assert_int_equal(fill_wait(&p, NOW - 60000, 1), 0);
}

/* Many senders, but none is likely to come within the longest wait. */
static void
test_slow_senders(void **state)
{
	(void)state;
	struct fill p = busy(30, 1);
	assert_int_equal(fill_wait(&p, NOW, 1), 0);
	p = busy(40, 1);
	assert_int_equal(fill_wait(&p, NOW, 1), FILL_MAX_US);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nobody_else),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_time_passes),
		cmocka_unit_test(test_slow_senders),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
