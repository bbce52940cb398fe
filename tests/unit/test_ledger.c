/* SPDX-License-Identifier: ISC
 * Tests of queue/ledger and queue/bytes: many messages against a plain model,
 * recipients over every word boundary, lists, limits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "queue/bytes.h"
#include "queue/ledger.h"

enum { MODEL = 5000, STEPS = 60000 };

static uint64_t seed = 1;

static uint64_t
next_random(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static void
check_order(const struct ledger *l, const bool *there)
{
	uint64_t last = 0;
	uint32_t n = 0;
	for (uint32_t i = l->oldest; i != LEDGER_NONE; i = l->entry[i].newer) {
		uint64_t id = l->entry[i].id;
		assert_true(id > last && id <= MODEL && there[id]);
		last = id;
		n++;
	}
	assert_int_equal(n, l->count);
}

static void
test_against_a_model(void **state)
{
	(void)state;
	static bool there[MODEL + 1];
	struct ledger l;
	uint64_t next = 1;
	assert_true(ledger_init(&l));
	for (int i = 0; i < STEPS; i++) {
		uint64_t id = next_random() % MODEL + 1;
		uint32_t slot = ledger_find(&l, id);
		assert_int_equal(slot != LEDGER_NONE, there[id]);
		if (slot != LEDGER_NONE && i % 3 == 0) {
			ledger_drop(&l, slot);
			there[id] = false;
		} else if (next <= MODEL) {
			slot = ledger_add(&l, next, 1);
			assert_true(slot != LEDGER_NONE);
			assert_true(ledger_add(&l, next, 1) == LEDGER_NONE);
			there[next++] = true;
		}
		if (i % 1000 == 0)
			check_order(&l, there);
	}
	check_order(&l, there);
	ledger_free(&l);
}

static void
test_recipients(void **state)
{
	(void)state;
	static const uint32_t counts[] = { 1, 2, 63, 64, 65, 127, 128, 129,
		1000 };
	struct ledger l;
	assert_true(ledger_init(&l));
	for (size_t i = 0; i < N_ELEMENTS(counts); i++) {
		uint32_t n = counts[i];
		struct ledger_entry *e =
		    ledger_at(&l, ledger_add(&l, i + 1, n));
		char bits[200];
		assert_int_equal(e->left, n);
		for (uint32_t j = 0; j < n; j += 3)
			assert_true(ledger_set_done(e, j));
		assert_false(ledger_set_done(e, 0));
		assert_false(ledger_set_done(e, n));
		assert_true(ledger_is_done(e, n));
		assert_int_equal(e->left, n - (n + 2) / 3);
		assert_int_equal(ledger_state_n(e), (n + 7) / 8);
		ledger_state(e, bits);
		for (uint32_t j = 0; j < n; j++) {
			assert_int_equal(ledger_is_done(e, j), j % 3 == 0);
			assert_int_equal(bits[j / 8] >> j % 8 & 1, j % 3 == 0);
		}
		uint32_t left = e->left;
		assert_true(ledger_grow(e, n + 70));
		assert_int_equal(e->left, left + 70);
		for (uint32_t j = 0; j < n + 70; j++)
			assert_int_equal(
			    ledger_is_done(e, j), j < n && j % 3 == 0);
	}
	ledger_free(&l);
}

static void
test_extras(void **state)
{
	(void)state;
	struct ledger l;
	assert_true(ledger_init(&l));
	struct ledger_entry *e = ledger_at(&l, ledger_add(&l, 1, 1));
	assert_true(ledger_keep_extra(e, STR("one")));
	assert_true(ledger_keep_extra(e, STR("two")));
	assert_true(ledger_keep_extra(e, STR("three")));
	ledger_drop_newest_extra(e);
	ledger_drop_extras(e, 1);
	assert_int_equal(e->extra->n, 3);
	assert_memory_equal(e->extra->content, "two", 3);
	assert_null(e->extra->next);
	ledger_drop_extras(e, 5);
	assert_null(e->extra);
	assert_true(ledger_keep_extra(e, STR("left")));
	ledger_free(&l);
}

static void
test_lists(void **state)
{
	(void)state;
	struct ledger l;
	struct ledger_list list = LEDGER_LIST;
	uint32_t slot[5];
	assert_true(ledger_init(&l));
	for (uint32_t i = 0; i < 5; i++) {
		slot[i] = ledger_add(&l, i + 1, 1);
		ledger_push(&l, &list, slot[i]);
	}
	ledger_unlink(&l, &list, slot[2]);
	ledger_unlink(&l, &list, slot[0]);
	ledger_unlink(&l, &list, slot[4]);
	assert_int_equal(list.count, 2);
	assert_int_equal(list.head, slot[1]);
	assert_int_equal(list.tail, slot[3]);
	assert_int_equal(l.entry[slot[1]].after, slot[3]);
	ledger_unlink(&l, &list, slot[1]);
	ledger_unlink(&l, &list, slot[3]);
	assert_int_equal(list.count, 0);
	assert_true(list.head == LEDGER_NONE && list.tail == LEDGER_NONE);
	ledger_free(&l);
}

static void
test_bytes(void **state)
{
	(void)state;
	struct bytes a = { .p = NULL };
	struct bytes b = { .vital = true };
	static char big[5000];
	struct str s = { big, sizeof(big) };
	bytes_limit(10000);
	assert_true(bytes_put(&a, s));
	assert_int_equal(bytes_in_use(), a.cap);
	assert_false(bytes_put(&a, s));
	assert_int_equal(a.n, 5000);
	assert_true(bytes_put(&b, s));
	assert_true(bytes_put(&b, s));
	bytes_drop(&b, 9999);
	assert_int_equal(b.n, 1);
	bytes_drop(&b, 5);
	assert_int_equal(b.n, 0);
	assert_false(bytes_reserve(&b, SIZE_MAX));
	bytes_free(&a);
	bytes_free(&b);
	assert_int_equal(bytes_in_use(), 0);
	assert_true(b.vital);
	bytes_limit(SIZE_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_a_model),
		cmocka_unit_test(test_recipients),
		cmocka_unit_test(test_extras),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
