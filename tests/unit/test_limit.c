/* SPDX-License-Identifier: ISC
 * Unit tests of start/limit: the three limits, and a long random walk against a
 * plain list.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include "start/endpoint.h"
#include "start/limit.h"

static struct ip
ip_of(const char *text)
{
	struct ip ip;

	assert_true(ip_parse(str_of(text), &ip));
	return ip;
}

static void
test_limits(void **state)
{
	static const struct {
		const char *ip;
		enum limit_answer answer;
	} steps[] = {
		{ "192.0.2.1", LIMIT_TAKEN },
		{ "192.0.2.1", LIMIT_TAKEN },
		{ "192.0.2.1", LIMIT_OVER_ADDRESS },
		{ "192.0.2.2", LIMIT_TAKEN },
		{ "2001:db8::1", LIMIT_TAKEN },
		{ "2001:db8::2", LIMIT_TAKEN },
		{ "2001:db8::1", LIMIT_TAKEN },
		{ "2001:db8::1", LIMIT_OVER_ADDRESS },
		{ "2001:db8::3", LIMIT_OVER_NET },
		{ "2001:db8:0:1::3", LIMIT_TAKEN },
		{ "192.0.2.9", LIMIT_TAKEN },
		{ "192.0.2.10", LIMIT_OVER_TOTAL },
	};
	const struct limits limits = {
		.total = 8, .per_address = 2, .per_net64 = 3
	};
	struct limit *l = limit_new(100, 7);

	(void)state;
	assert_non_null(l);
	for (size_t i = 0; i < N_ELEMENTS(steps); i++) {
		struct ip ip = ip_of(steps[i].ip);
		assert_int_equal(limit_take(l, &limits, &ip), steps[i].answer);
	}
	struct ip ip = ip_of("2001:db8::1");
	limit_release(l, &ip);
	assert_int_equal(limit_count(l), 7);
	ip = ip_of("2001:db8::3");
	assert_int_equal(limit_take(l, &limits, &ip), LIMIT_TAKEN);
	ip = ip_of("2001:db8::4");
	assert_int_equal(limit_take(l, &limits, &ip), LIMIT_OVER_TOTAL);
	free(l);
}

/* A /64's counter is not that of the address with the same bytes. */
static void
test_net_is_not_its_first_address(void **state)
{
	const struct limits limits = { 100, 1, 5 };
	struct limit *l = limit_new(100, 1);
	struct ip one = ip_of("2001:db8::1");
	struct ip zero = ip_of("2001:db8::");

	(void)state;
	assert_non_null(l);
	assert_int_equal(limit_take(l, &limits, &one), LIMIT_TAKEN);
	assert_int_equal(limit_take(l, &limits, &zero), LIMIT_TAKEN);
	assert_int_equal(limit_take(l, &limits, &zero), LIMIT_OVER_ADDRESS);
	free(l);
}

enum { POOL = 40, STEPS = 200000, CAPACITY = 64 };

static void
test_random_walk(void **state)
{
	const struct limits limits = { CAPACITY, 4, 9 };
	unsigned counts[POOL] = { 0 };
	unsigned total = 0;
	uint32_t random = 12345;
	struct ip pool[POOL];
	struct limit *l = limit_new(CAPACITY, 99);

	(void)state;
	assert_non_null(l);
	for (unsigned i = 0; i < POOL; i++) {
		pool[i] = ip_of(i % 2 == 0 ? "192.0.2.0" : "2001:db8::");
		pool[i].b[15] = (unsigned char)i;
		if (i % 2 != 0)
			pool[i].b[7] = (unsigned char)(i % 8); /* four nets */
	}
	for (int step = 0; step < STEPS; step++) {
		random = random * 1664525 + 1013904223;
		unsigned i = (random >> 16) % POOL;
		if ((random >> 8 & 1) != 0 && counts[i] > 0) {
			limit_release(l, &pool[i]);
			counts[i]--;
			total--;
			continue;
		}
		unsigned net = 0;
		for (unsigned k = 1; k < POOL; k += 2)
			net += k % 8 == i % 8 ? counts[k] : 0;
		enum limit_answer expected = LIMIT_TAKEN;
		if (total >= CAPACITY)
			expected = LIMIT_OVER_TOTAL;
		else if (counts[i] >= 4)
			expected = LIMIT_OVER_ADDRESS;
		else if (i % 2 != 0 && net >= 9)
			expected = LIMIT_OVER_NET;
		assert_int_equal(limit_take(l, &limits, &pool[i]), expected);
		if (expected == LIMIT_TAKEN) {
			counts[i]++;
			total++;
		}
		assert_int_equal(limit_count(l), total);
	}
	free(l);
}

static void
test_endpoint(void **state)
{
	static const struct {
		const char *text, *ip; /* NULL: refused */
		uint16_t port;
	} rows[] = {
		{ "127.0.0.1:25", "127.0.0.1", 25 },
		{ "0.0.0.0:110", "0.0.0.0", 110 },
		{ "*:2525", "0.0.0.0", 2525 },
		{ "[::]:25", "::", 25 },
		{ "[2001:db8::1]:65535", "2001:db8::1", 65535 },
		{ "127.0.0.1:0", NULL, 0 },
		{ "127.0.0.1:65536", NULL, 0 },
		{ "127.0.0.1:", NULL, 0 },
		{ "127.0.0.1", NULL, 0 },
		{ ":25", NULL, 0 },
		{ "::1:25", NULL, 0 },
		{ "[127.0.0.1]:25", NULL, 0 },
		{ "[*]:25", NULL, 0 },
		{ "[::1:25", NULL, 0 },
		{ "localhost:25", NULL, 0 },
		{ "", NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		struct endpoint e;
		bool ok = endpoint_parse(str_of(rows[i].text), &e);
		assert_int_equal(ok, rows[i].ip != NULL);
		if (!ok)
			continue;
		struct ip ip = ip_of(rows[i].ip);
		assert_true(ip_eq(&ip, &e.ip));
		assert_int_equal(e.port, rows[i].port);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_net_is_not_its_first_address),
		cmocka_unit_test(test_random_walk),
		cmocka_unit_test(test_endpoint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
