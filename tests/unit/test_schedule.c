/* SPDX-License-Identifier: ISC
 * schedule: qmail's times, the jitter's bounds, the end of the lifetime.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include "common/str.h"
#include "queue/schedule.h"

enum { BIRTH = 1000000000, DAYS5 = 432000 };

/* Ages of the attempts as qmail makes them: (sqrt(age) + skip)^2. */
static const int64_t remote_ages[] = { 0, 400, 1600, 3600, 6400, 10000, 14400,
	19600, 25600, 32400, 40000, 48400, 57600, 67600, 78400, 90000, 102400,
	115600, 129600, 144400, 160000 };
static const int64_t local_ages[] = { 0, 100, 400, 900, 1600, 2500, 3600, 4900,
	6400, 8100, 10000 };

static void
check_ages(const int64_t *ages, size_t n, enum schedule_channel channel)
{
	for (uint64_t id = 1; id < 50; id++) {
		int64_t now = BIRTH;
		for (unsigned i = 1; i < n; i++) {
			int64_t next = schedule_next(
			    id * 7919, BIRTH, now, DAYS5, channel, i);
			int64_t wait = ages[i] - ages[i - 1];
			assert_in_range(
			    next - BIRTH, ages[i], ages[i] + wait / 64);
			now = next; /* the jitter must not add up */
		}
	}
}

static void
times_are_qmails(void **state)
{
	(void)state;
	check_ages(remote_ages, N_ELEMENTS(remote_ages), SCHEDULE_REMOTE);
	check_ages(local_ages, N_ELEMENTS(local_ages), SCHEDULE_LOCAL);
}

static void
last_attempt_is_at_the_end(void **state)
{
	static const int64_t lifetimes[] = { 1, 25, 399, 400, 401, 3600,
		DAYS5 };
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(lifetimes); i++) {
		int64_t end = BIRTH + lifetimes[i];
		int64_t now = BIRTH;
		unsigned attempt = 1;
		while (!schedule_is_last(BIRTH, now, lifetimes[i])) {
			int64_t next = schedule_next(5, BIRTH, now,
			    lifetimes[i], SCHEDULE_REMOTE, attempt++);
			assert_true(next > now);
			assert_true(next <= end);
			now = next;
		}
		assert_int_equal(now, end);
	}
}

static void
a_clock_set_back_does_not_delay(void **state)
{
	(void)state;
	int64_t now = BIRTH - 1000000;
	int64_t next = schedule_next(5, BIRTH, now, DAYS5, SCHEDULE_REMOTE, 1);
	assert_in_range(next - now, 400, 406);
	assert_false(schedule_is_last(BIRTH, now, DAYS5));
}

static void
jitter_spreads(void **state)
{
	unsigned seen[11] = { 0 };
	(void)state;
	for (uint64_t id = 0; id < 11000; id++)
		seen[schedule_jitter(id, 1, 10)]++;
	for (size_t i = 0; i < N_ELEMENTS(seen); i++)
		assert_in_range(seen[i], 700, 1300);
	assert_int_equal(schedule_jitter(9, 3, 0), 0);
	assert_int_equal(
	    schedule_jitter(9, 3, 1000), schedule_jitter(9, 3, 1000));
}

static void
a_host_rests_longer_each_time(void **state)
{
	static const int64_t rests[] = { 0, 60, 120, 240, 480, 960, 1800,
		1800 };
	(void)state;
	for (unsigned i = 0; i < N_ELEMENTS(rests); i++)
		assert_int_equal(schedule_host_rest(i), rests[i]);
	/* never as long as the wait of a message that saw all of them */
	for (unsigned i = 1; i < N_ELEMENTS(remote_ages); i++)
		assert_true(schedule_host_rest(i) <
			    remote_ages[i] - remote_ages[i - 1]);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_qmails),
		cmocka_unit_test(last_attempt_is_at_the_end),
		cmocka_unit_test(a_clock_set_back_does_not_delay),
		cmocka_unit_test(jitter_spreads),
		cmocka_unit_test(a_host_rests_longer_each_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
