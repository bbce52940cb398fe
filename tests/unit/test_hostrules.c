/* SPDX-License-Identifier: ISC
 * hostrules: lines of control/destinations, which of them hold; pace: when a
 * host may be given the next message.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "common/io.h"
#include "queue/hostrules.h"
#include "queue/names.h"
#include "queue/pace.h"

static void
lines(void **state)
{
	static const struct {
		const char *line;
		bool good;
		struct hostrule rule;
	} cases[] = {
		{ "a.example connections=3", true, { .connections = 3 } },
		{ ".a.example\tmessages=10  rate=60/minute", true,
		    { .messages = 10, .interval_us = 1000000 } },
		{ "* rate=7/second", true, { .interval_us = 142858 } },
		{ "* rate=1/hour", true, { .interval_us = 3600000000u } },
		{ "[192.0.2.1] CONNECTIONS=1000 rate=1/Minute", true,
		    { .connections = 1000, .interval_us = 60000000 } },
		{ "a.example", false, { 0 } },
		{ "a.example connections=0", false, { 0 } },
		{ "a.example connections=1001", false, { 0 } },
		{ "a.example connections", false, { 0 } },
		{ "a.example rate=5", false, { 0 } },
		{ "a.example rate=0/minute", false, { 0 } },
		{ "a.example rate=5/day", false, { 0 } },
		{ "a.example speed=5", false, { 0 } },
		{ "a.example connections=1 x", false, { 0 } },
		{ "connections=1", false, { 0 } },
		{ "", false, { 0 } },
	};
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		struct str pattern;
		struct hostrule r;
		const char *wrong =
		    hostrule_parse(str_of(cases[i].line), &pattern, &r);
		if ((wrong == NULL) != cases[i].good)
			fail_msg("%s: %s", cases[i].line,
			    wrong == NULL ? "taken" : wrong);
		if (wrong != NULL)
			continue;
		assert_int_equal(r.connections, cases[i].rule.connections);
		assert_int_equal(r.messages, cases[i].rule.messages);
		assert_int_equal(r.interval_us, cases[i].rule.interval_us);
	}
}

static struct hostrules *
rules_of(const char *text)
{
	char dir[] = "/tmp/test-hostrules-XXXXXX";
	assert_non_null(mkdtemp(dir));
	int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dirfd >= 0);
	assert_int_equal(
	    io_replace_file(dirfd, "destinations", str_of(text), 0600), 0);
	struct hostrules *rules = hostrules_load(dirfd);
	assert_int_equal(unlinkat(dirfd, "destinations", 0), 0);
	assert_int_equal(close(dirfd), 0);
	assert_int_equal(rmdir(dir), 0);
	return rules;
}

static void
expect(const struct hostrules *rules, const char *host, uint32_t connections,
    uint32_t messages, uint32_t interval_us)
{
	struct hostrule r = hostrules_find(rules, str_of(host));
	assert_int_equal(r.connections, connections);
	assert_int_equal(r.messages, messages);
	assert_int_equal(r.interval_us, interval_us);
}

static void
the_nearest_line_counts_for_each_number(void **state)
{
	(void)state;
	struct hostrules *rules = rules_of("# limits\n"
					   "* messages=100\n"
					   "Big.example connections=50\n"
					   ".big.example rate=60/minute\n"
					   ".example connections=5\n");
	assert_non_null(rules);
	expect(rules, "other.test", HOSTRULE_CONNECTIONS, 100, 0);
	expect(rules, "big.EXAMPLE", 50, 100, 0);
	expect(rules, "mx.big.example", 5, 100, 1000000);
	expect(rules, "small.example", 5, 100, 0);
	hostrules_free(rules);
	rules = rules_of("");
	expect(rules, "other.test", HOSTRULE_CONNECTIONS, 0, 0);
	hostrules_free(rules);
	assert_null(rules_of("a.example rate=1\n"));
	assert_null(rules_of("a.example messages=1\nA.example messages=2\n"));
}

static unsigned woken;

static void
wake(struct destination *d)
{
	assert_false(d->pacing);
	woken++;
}

static void
a_rate_is_kept_from_the_start_on(void **state)
{
	(void)state;
	names_init();
	destinations_init();
	struct destination *d =
	    destination_get(SCHEDULE_REMOTE, STR("d.example"), STR(""));
	pace_init(1000);
	assert_true(pace_ready(d, 1000));
	destination_rule(
	    d, (struct hostrule){ .connections = 2, .interval_us = 500000 });
	assert_false(pace_ready(d, 1000)); /* one may have gone just before */
	assert_false(pace_ready(d, 1499));
	assert_int_equal(pace_wait(1000), 500);
	pace_wake(1499, wake);
	assert_int_equal(woken, 0);
	pace_wake(1500, wake);
	assert_int_equal(woken, 1);
	assert_int_equal(pace_wait(1500), -1);
	assert_true(pace_ready(d, 1500));
	unsigned sent = 0;
	for (int64_t now = 1500; now < 61500; now++)
		if (pace_ready(d, now)) {
			pace_sent(d, now);
			sent++;
		}
	assert_int_equal(sent, 120);
	/* a rest saves nothing up */
	assert_true(pace_ready(d, 300000));
	pace_sent(d, 300000);
	assert_false(pace_ready(d, 300001));
	/* it is not forgotten between two messages */
	destinations_sweep(300001);
	assert_ptr_equal(
	    d, destination_get(SCHEDULE_REMOTE, STR("d.example"), STR("")));
	/* a reload without a rate lets it go */
	destination_rule(d, (struct hostrule){ .connections = 2 });
	pace_wake(300001, wake);
	assert_int_equal(woken, 2);
	assert_true(pace_ready(d, 300001));
}

static void
a_high_rate_is_kept_too(void **state)
{
	(void)state;
	struct destination *d =
	    destination_get(SCHEDULE_REMOTE, STR("fast.example"), STR(""));
	destination_rule(
	    d, (struct hostrule){ .connections = 2, .interval_us = 250 });
	unsigned sent = 0;
	for (int64_t now = 5000; now < 6000; now++)
		while (pace_ready(d, now)) {
			pace_sent(d, now);
			sent++;
		}
	assert_in_range(sent, 3990, 4004);
	pace_wake(7000, wake);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(the_nearest_line_counts_for_each_number),
		cmocka_unit_test(a_rate_is_kept_from_the_start_on),
		cmocka_unit_test(a_high_rate_is_kept_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
