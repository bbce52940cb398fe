/* SPDX-License-Identifier: ISC
 * Tests of send/dot, each body cut at every byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "send/dot.h"

static const struct {
	const char *body, *wire;
} cases[] = {
	{ "", ".\r\n" },
	{ "\n", "\r\n.\r\n" },
	{ "a", "a\r\n.\r\n" },
	{ "a\n", "a\r\n.\r\n" },
	{ ".", "..\r\n.\r\n" },
	{ ".\n", "..\r\n.\r\n" },
	{ "..\n", "...\r\n.\r\n" },
	{ "a.\n.b\n\n.\n", "a.\r\n..b\r\n\r\n..\r\n.\r\n" },
	{ "a\n.", "a\r\n..\r\n.\r\n" },
	{ "\n\n", "\r\n\r\n.\r\n" },
	{ "\xff\n", "\xff\r\n.\r\n" },
};

static void
every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		struct str body = str_of(cases[i].body);

		for (size_t a = 0; a <= body.n; a++)
			for (size_t b = a; b <= body.n; b++) {
				char bytes[64];
				struct buf out = BUF_ON(bytes);
				struct dot dot = { .in_line = false };

				assert_true(
				    dot_encode(&dot, str_head(body, a), &out));
				assert_true(dot_encode(&dot,
				    str_head(str_skip(body, a), b - a), &out));
				assert_true(
				    dot_encode(&dot, str_skip(body, b), &out));
				dot_end(&dot, &out);
				assert_false(out.full);
				assert_true(str_eq(
				    buf_str(&out), str_of(cases[i].wire)));
			}
	}
}

static void
never_bare(void **state)
{
	(void)state;
	const struct str bad[] = { STR("a\rb"), STR("\r\n"), STR("a\0b"),
		STR("\r") };

	for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
		char bytes[64];
		struct buf out = BUF_ON(bytes);
		struct dot dot = { .in_line = false };
		struct dot_scan scan = { .bytes = 0 };

		assert_false(dot_encode(&dot, bad[i], &out));
		assert_int_equal(out.n, 0);
		dot_scan(&scan, bad[i]);
		assert_true(scan.dirty);
	}
}

static void
scan(void **state)
{
	(void)state;
	struct dot_scan s = { .bytes = 0 };

	dot_scan(&s, STR("a\nb"));
	dot_scan(&s, STR(""));
	dot_scan(&s, STR("\n\n.\xff"));
	assert_int_equal(s.bytes, 7);
	assert_int_equal(s.lines, 3);
	assert_false(s.dirty);
	assert_int_equal(dot_wire_size(&s), 7 + 3 + 2);
	dot_scan(&s, STR("\n"));
	dot_scan(&s, STR(""));
	assert_int_equal(dot_wire_size(&s), 8 + 4);
}

/* The room that the header promises is enough for the worst body. */
static void
room(void **state)
{
	(void)state;
	char body[100], bytes[DOT_ROOM(100) + DOT_END_ROOM];

	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = i % 2 == 0 ? '.' : '\n';
	for (size_t n = 0; n <= sizeof(body); n++) {
		struct buf out = BUF_ON(bytes);
		struct dot dot = { .in_line = false };

		out.cap = DOT_ROOM(n) + DOT_END_ROOM;
		assert_true(dot_encode(&dot, (struct str){ body, n }, &out));
		dot_end(&dot, &out);
		assert_false(out.full);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cut),
		cmocka_unit_test(never_bare),
		cmocka_unit_test(scan),
		cmocka_unit_test(room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
