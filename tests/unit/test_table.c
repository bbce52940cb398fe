/* SPDX-License-Identifier: ISC
 * Unit test of common/table.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include "common/buf.h"
#include "common/table.h"

enum { MANY = 100000 };

static struct str
name_of(struct buf *b, const char *what, unsigned i)
{
	buf_reset(b);
	buf_puts(b, what);
	buf_put_u64(b, i);
	return buf_str(b);
}

static void
keeps_what_is_put(void **state)
{
	(void)state;
	struct table *t = table_new();
	struct str v;
	assert_false(table_get(t, STR("a"), &v));
	assert_int_equal(table_put(t, STR("a"), STR("1")), 0);
	assert_int_equal(table_put(t, STR(""), STR("empty key")), 0);
	assert_int_equal(table_put(t, STR("a\0b"), STR("\0")), 0);
	assert_int_equal(table_put(t, STR("b"), STR("")), 0);
	assert_true(table_get(t, STR("a"), &v) && str_eq(v, STR("1")));
	assert_true(table_get(t, STR(""), &v) && str_eq(v, STR("empty key")));
	assert_true(table_get(t, STR("a\0b"), &v) && str_eq(v, STR("\0")));
	assert_true(table_get(t, STR("b"), &v) && v.n == 0);
	assert_false(table_get(t, STR("A"), &v));
	assert_int_equal(table_put(t, STR("a"), STR("2")), -1);
	assert_int_equal(errno, EEXIST);
	assert_true(table_get(t, STR("a"), &v) && str_eq(v, STR("1")));
	assert_int_equal(table_count(t), 4);
	table_free(t);
	table_free(NULL);
}

static void
holds_many(void **state)
{
	(void)state;
	struct table *t = table_new();
	char k[32], v[32];
	struct buf kb = BUF_ON(k), vb = BUF_ON(v);
	struct str first = { 0 }, got;
	for (unsigned i = 0; i < MANY; i++) {
		assert_int_equal(table_put(t, name_of(&kb, "key", i),
				     name_of(&vb, "value", i)),
		    0);
		if (i == 0)
			assert_true(table_get(t, STR("key0"), &first));
	}
	assert_int_equal(table_count(t), MANY);
	for (unsigned i = 0; i < MANY; i++) {
		assert_true(table_get(t, name_of(&kb, "key", i), &got));
		assert_true(str_eq(got, name_of(&vb, "value", i)));
	}
	assert_false(table_get(t, STR("key"), &got));
	/* A view from before the growth still stands. */
	assert_true(str_eq(first, STR("value0")));
	table_free(t);
}

static void
holds_large_values(void **state)
{
	(void)state;
	static char big[200000];
	struct table *t = table_new();
	struct str got;
	memset(big, 'x', sizeof(big));
	assert_int_equal(table_put(t, STR("k"), STR("v")), 0);
	assert_int_equal(
	    table_put(t, STR("big"), (struct str){ big, sizeof(big) }), 0);
	assert_int_equal(table_put(t, STR("l"), STR("w")), 0);
	assert_true(table_get(t, STR("big"), &got));
	assert_true(str_eq(got, (struct str){ big, sizeof(big) }));
	assert_true(table_get(t, STR("l"), &got) && str_eq(got, STR("w")));
	table_free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keeps_what_is_put),
		cmocka_unit_test(holds_many),
		cmocka_unit_test(holds_large_values),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
