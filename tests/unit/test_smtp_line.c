/* SPDX-License-Identifier: ISC
 * Unit test of smtpd/line, the input cut at every byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "common/buf.h"
#include "smtpd/line.h"

static struct str
range(struct str s, size_t from, size_t to)
{
	return str_head(str_skip(s, from), to - from);
}

/* Writes what line_next says of `in` as text, the input coming in pieces of
 * `piece` bytes. */
static void
trace_lines(struct str in, size_t piece, size_t max, struct buf *out)
{
	struct line_reader r = { .discarding = false };
	size_t taken = 0, come = 0;

	for (;;) {
		struct str line;
		size_t used = 0;
		enum line_status status =
		    line_next(&r, range(in, taken, come), max, &line, &used);

		taken += used;
		assert_true(taken <= come);
		switch (status) {
		case LINE_OK:
			buf_putc(out, '[');
			buf_put(out, line);
			buf_putc(out, ']');
			break;
		case LINE_TOO_LONG:
			buf_puts(out, "(long)");
			break;
		case LINE_BARE_LF:
			buf_puts(out, "(lf)");
			break;
		case LINE_MORE:
			if (come == in.n)
				return;
			come = come + piece < in.n ? come + piece : in.n;
			break;
		}
	}
}

static void
lines(void **state)
{
	static const struct {
		const char *in, *out;
	} t[] = {
		{ "", "" },
		{ "a", "" },
		{ "a\r", "" },
		{ "a\r\n", "[a]" },
		{ "\r\n", "[]" },
		{ "a\r\nb\r\n", "[a][b]" },
		{ "123456\r\n", "[123456]" },
		{ "1234567\r\n", "(long)" },
		{ "12345678\r\n", "(long)" },
		{ "1234567890123456\r\nb\r\n", "(long)[b]" },
		{ "a\nb\r\n", "(lf)[b]" },
		{ "\n", "(lf)" },
		{ "1234567\n", "(lf)" },
		{ "12345678\n", "(lf)" },
		{ "123456789012\nb\r\n", "(lf)[b]" },
		{ "a\rb\r\n", "[a\rb]" },
		{ "a\r\r\n", "[a\r]" },
		{ "1234567\r\r\r\n", "(long)" },
		{ "1234567\r\r\r", "" },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(t); i++)
		for (size_t piece = 1; piece <= strlen(t[i].in) + 1; piece++) {
			char storage[256];
			struct buf out = BUF_ON(storage);

			trace_lines(str_of(t[i].in), piece, 8, &out);
			if (!str_eq(buf_str(&out), str_of(t[i].out)))
				fail_msg("line case %zu in pieces of %zu: "
					 "%.*s",
				    i, piece, (int)buf_str(&out).n,
				    buf_str(&out).p);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
