/* SPDX-License-Identifier: ISC
 * Tests of send/unacked: what is told, taken, told again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "send/unacked.h"

static struct unacked u;
static char bytes[PACKET_MAX];

/* Tells all; returns the number of reports, and of packets. */
static unsigned
tell(unsigned *packets, uint64_t *first_id)
{
	struct buf b = BUF_ON(bytes);
	unsigned told = 0;
	size_t upto;

	*packets = 0;
	while (unacked_next(&u, &b, &upto)) {
		assert_false(b.full);
		struct packet p = packet_open(buf_str(&b));
		uint32_t n = packet_get_u32(&p);

		assert_int_equal(p.type, 'R');
		assert_true(n > 0);
		(*packets)++;
		for (uint32_t i = 0; i < n; i++) {
			uint64_t id = packet_get_u64(&p);
			if (told == 0 && i == 0)
				*first_id = id;
			(void)packet_get_u32(&p);
			assert_int_equal(packet_get_u8(&p), VERDICT_OK);
			(void)packet_get_str(&p, LIMIT_REPORT);
		}
		assert_true(packet_end(&p));
		told += n;
		unacked_told(&u, upto);
	}
	return told;
}

/* qmgr says that it has this one. */
static void
take(uint64_t id, uint32_t idx)
{
	char text[32];
	struct buf b = BUF_ON(text);

	packet_begin(&b, 'K');
	packet_u32(&b, 1);
	packet_u64(&b, id);
	packet_u32(&b, idx);
	struct packet p = packet_open(buf_str(&b));
	assert_true(unacked_take(&u, &p));
	p = packet_open(str_head(buf_str(&b), b.n - 1));
	assert_false(unacked_take(&u, &p));
}

static void
told_and_taken(void **state)
{
	(void)state;
	unsigned packets;
	uint64_t id = 0;

	memset(&u, 0, sizeof(u));
	unacked_add(&u, 1, 0, VERDICT_OK, STR("2.0.0 a"));
	unacked_add(&u, 1, 1, VERDICT_OK, STR(""));
	unacked_add(&u, 2, 0, VERDICT_OK, STR("2.0.0 b"));
	assert_int_equal(tell(&packets, &id), 3);
	assert_int_equal(packets, 1);
	assert_int_equal(tell(&packets, &id), 0);
	take(1, 1);
	take(1, 1);
	take(9, 9);
	assert_int_equal(u.waiting, 2);
	unacked_untell(&u);
	assert_int_equal(tell(&packets, &id), 2);
	assert_int_equal(id, 1);
	take(1, 0);
	unacked_untell(&u);
	assert_int_equal(tell(&packets, &id), 1);
	assert_int_equal(id, 2);
	take(2, 0);
	assert_int_equal(u.waiting, 0);
	assert_int_equal(u.end, 0);
}

/* A hundred long texts need several packets. */
static void
long_texts(void **state)
{
	(void)state;
	char text[2 * LIMIT_REPORT];
	unsigned packets;
	uint64_t id = 0;

	memset(&u, 0, sizeof(u));
	memset(text, 'x', sizeof(text));
	for (uint32_t i = 0; i < 100; i++)
		unacked_add(
		    &u, 7, i, VERDICT_OK, (struct str){ text, sizeof(text) });
	assert_int_equal(tell(&packets, &id), 100);
	assert_true(packets >= 4);
}

/* A store that runs on for long never loses or doubles a report. */
static void
runs_on(void **state)
{
	(void)state;
	unsigned packets, told = 0;
	uint64_t id = 0, taken = 0;

	memset(&u, 0, sizeof(u));
	for (uint64_t i = 0; i < 20000; i++) {
		assert_true(unacked_room(&u, 100));
		unacked_add(&u, i, 0, VERDICT_OK,
		    STR("2.0.0 mx.example (192.0.2.1) said: 250 ok"));
		told += tell(&packets, &id);
		if (i % 500 == 499)
			for (; taken < i - 10; taken++)
				take(taken, 0);
	}
	assert_int_equal(told, 20000);
	for (; taken < 20000; taken++)
		take(taken, 0);
	assert_int_equal(u.waiting, 0);
	assert_false(unacked_room(&u, UNACKED_BYTES));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(told_and_taken),
		cmocka_unit_test(long_texts),
		cmocka_unit_test(runs_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
