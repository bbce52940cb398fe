/* SPDX-License-Identifier: ISC
 * Unit test of smtpd/data, the input cut at every byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "smtpd/data.h"

static struct str
range(struct str s, size_t from, size_t to)
{
	return str_head(str_skip(s, from), to - from);
}

static const struct data_case {
	const char *in;
	const char *out; /* NULL: it does not matter */
	enum data_problem problem;
	const char *rest; /* behind the end; NULL: there is no end */
} data_cases[] = {
	{ ".\r\n", "", DATA_GOOD, "" },
	{ ".\r\nNOOP\r\n", "", DATA_GOOD, "NOOP\r\n" },
	{ "a\r\n.\r\n", "a\n", DATA_GOOD, "" },
	{ "a\r\n\r\nb\r\n.\r\n", "a\n\nb\n", DATA_GOOD, "" },
	{ "..\r\n.\r\n", ".\n", DATA_GOOD, "" },
	{ "...\r\n.\r\n", "..\n", DATA_GOOD, "" },
	{ ".a\r\n.\r\n", "a\n", DATA_GOOD, "" },
	{ ". \r\n.\r\n", " \n", DATA_GOOD, "" },
	{ "a.\r\n.\r\n", "a.\n", DATA_GOOD, "" },
	{ "\x01\xff\t\r\n.\r\n", "\x01\xff\t\n", DATA_GOOD, "" },
	{ "a\r\n.", NULL, DATA_GOOD, NULL },
	{ "a\r\n.\r", NULL, DATA_GOOD, NULL },
	{ "a\n.\n", NULL, DATA_BARE, NULL },
	{ "a\n.\r\n", NULL, DATA_BARE, NULL },
	{ "a\r.\r\n", NULL, DATA_BARE, NULL },
	{ "a\r\n.\n", NULL, DATA_BARE, NULL },
	{ "a\r\n.\rb", NULL, DATA_BARE, NULL },
	{ "a\r\n.\r\r\n", NULL, DATA_BARE, NULL },
	{ "a\r\n.\r\r\n.\r\nx", NULL, DATA_BARE, "x" },
	{ "a\nb\r\n.\r\nx", NULL, DATA_BARE, "x" },
	{ "a\rb\r\n.\r\nx", NULL, DATA_BARE, "x" },
	{ "\n.\r\n\r\n.\r\nx", NULL, DATA_BARE, "x" },
	{ "a\r\r\n.\r\nx", NULL, DATA_BARE, "x" },
	{ "\n\r\n.\r\nx", NULL, DATA_BARE, "x" },
};

/* Feeds in pieces, through an output buffer of `room` bytes. */
static bool
run_data(struct data *d, struct str in, size_t piece, size_t room,
    struct buf *all, size_t *used)
{
	char storage[64];
	size_t come = 0;

	*used = 0;
	for (;;) {
		struct buf out = BUF_ON(storage);
		size_t n;

		assert_true(room <= sizeof(storage));
		buf_grew(&out, sizeof(storage) - room);
		enum data_status status =
		    data_feed(d, range(in, *used, come), &out, &n);

		*used += n;
		assert_true(*used <= come);
		buf_put(all, str_skip(buf_str(&out), sizeof(storage) - room));
		if (status == DATA_END)
			return true;
		if (status == DATA_FULL) {
			assert_int_equal(buf_room(&out), 0);
			continue;
		}
		assert_int_equal(*used, come);
		if (come == in.n)
			return false;
		come = come + piece < in.n ? come + piece : in.n;
	}
}

static void
check_data(const struct data_case *c, size_t piece, size_t room)
{
	char storage[512];
	struct buf all = BUF_ON(storage);
	struct data d;
	size_t used;

	data_begin(&d, 0);
	bool end = run_data(&d, str_of(c->in), piece, room, &all, &used);

	assert_int_equal(end, c->rest != NULL);
	assert_int_equal(d.problem, c->problem);
	if (c->rest != NULL)
		assert_string_equal(c->in + used, c->rest);
	if (c->out != NULL)
		assert_true(str_eq(buf_str(&all), str_of(c->out)));
}

static void
data_in_pieces(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(data_cases); i++)
		for (size_t piece = 1; piece <= strlen(data_cases[i].in);
		     piece++)
			for (size_t room = 1; room < 5; room++)
				check_data(&data_cases[i], piece, room);
}

static void
data_nul(void **state)
{
	struct str in = STR("a\0b\r\n.\r\n");

	(void)state;
	for (size_t piece = 1; piece <= in.n; piece++) {
		char storage[64];
		struct buf all = BUF_ON(storage);
		struct data d;
		size_t used;

		data_begin(&d, 0);
		assert_true(run_data(&d, in, piece, 8, &all, &used));
		assert_int_equal(d.problem, DATA_NUL);
		assert_int_equal(used, in.n);
	}
}

static void
data_size(void **state)
{
	/* 3 + 2 and 1 + 2 bytes: the stuffed dot is not counted */
	struct str in = STR("abc\r\n..\r\n.\r\n");

	(void)state;
	for (uint64_t max = 1; max < 12; max++)
		for (size_t piece = 1; piece <= in.n; piece++) {
			char storage[64];
			struct buf all = BUF_ON(storage);
			struct data d;
			size_t used;

			data_begin(&d, max);
			assert_true(run_data(&d, in, piece, 8, &all, &used));
			assert_int_equal(
			    d.problem, max < 8 ? DATA_TOO_LARGE : DATA_GOOD);
		}
}

static void
data_wrong_bytes_count_over_size(void **state)
{
	char storage[64];
	struct buf all = BUF_ON(storage);
	struct data d;
	size_t used;

	(void)state;
	data_begin(&d, 2);
	assert_true(
	    run_data(&d, STR("abcdef\r\na\nb\r\n.\r\n"), 3, 8, &all, &used));
	assert_int_equal(d.problem, DATA_BARE);
}

static void
data_loop(void **state)
{
	static char text[8192], storage[8192];

	(void)state;
	for (int in_body = 0; in_body < 2; in_body++)
		for (int count = 100; count < 102; count++)
			for (size_t piece = 1; piece < 40; piece++) {
				struct buf in = BUF_ON(text);
				struct buf all = BUF_ON(storage);
				struct data d;
				size_t used;

				buf_puts(&in, "X-Received: no\r\nReceived\r\n");
				if (in_body)
					buf_puts(&in, "\r\n");
				for (int i = 0; i < count; i++)
					buf_puts(&in, "ReCeived: by a\r\n");
				buf_puts(&in, ".\r\n");
				assert_false(in.full);
				data_begin(&d, 0);
				assert_true(run_data(
				    &d, buf_str(&in), piece, 64, &all, &used));
				assert_int_equal(d.problem,
				    count > 100 && !in_body ? DATA_LOOP
							    : DATA_GOOD);
			}
}

/* Bodies of a few kinds of bytes: whole, all is as byte by byte. */
static void
data_like_byte_by_byte(void **state)
{
	static const char kinds[] = "aaaaaaaaaaaaaaaaa\r\r\n\n.\t\x01\xff\r\0";
	uint32_t seed = 1;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		char text[100] = "\r\n", one[160], other[160];
		struct buf in = BUF_ON(text);
		struct buf slow = BUF_ON(one), fast = BUF_ON(other);
		struct data d, e;
		size_t used, also_used;

		buf_grew(&in, 2);
		while (buf_room(&in) > 5 && !in.full) {
			seed = seed * 1103515245 + 12345;
			size_t kind = (seed >> 16) % (sizeof(kinds) + 30);
			if (kind < sizeof(kinds) - 1)
				buf_putc(&in, kinds[kind]);
			else
				buf_puts(&in, kind % 4 == 0 ? "\r\n" : "b");
		}
		buf_puts(&in, "\r\n.\r\n");
		data_begin(&d, 90 + seed % 16);
		data_begin(&e, 90 + seed % 16);
		bool end = run_data(&d, buf_str(&in), 1, 64, &slow, &used);
		assert_int_equal(run_data(&e, buf_str(&in), sizeof(text),
				     1 + seed % 64, &fast, &also_used),
		    end);
		assert_int_equal(used, also_used);
		assert_int_equal(d.problem, e.problem);
		if (d.problem != DATA_GOOD)
			continue;
		assert_int_equal(d.size, e.size);
		assert_true(str_eq(buf_str(&slow), buf_str(&fast)));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_in_pieces),
		cmocka_unit_test(data_nul),
		cmocka_unit_test(data_size),
		cmocka_unit_test(data_wrong_bytes_count_over_size),
		cmocka_unit_test(data_loop),
		cmocka_unit_test(data_like_byte_by_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
