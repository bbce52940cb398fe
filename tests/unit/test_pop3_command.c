/* SPDX-License-Identifier: ISC
 * Unit tests of pop3d/command: lines however they are cut, and every command.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "common/buf.h"
#include "pop3d/command.h"

enum { STREAM_MAX = 4096 };

/* Feeds `in` in pieces of `step` bytes; writes what came out into log: lines in
 * [], L for one that was too long, B for one with a bare LF. */
static void
feed(struct str in, size_t step, struct buf *log)
{
	struct pop3_line state = { .skipping = false };
	static char held[STREAM_MAX];
	size_t n = 0;

	for (size_t at = 0; at < in.n; at += step) {
		struct str piece = str_head(str_skip(in, at), step);
		memcpy(held + n, piece.p, piece.n);
		n += piece.n;
		for (;;) {
			struct str line, all = { .p = held, .n = n };
			size_t used;
			enum pop3_line_status s =
			    pop3_line_next(&state, all, &line, &used);
			assert_true(used <= n);
			if (s == POP3_LINE_OK) {
				buf_putc(log, '[');
				buf_put(log, line);
				buf_putc(log, ']');
			} else if (s == POP3_LINE_BARE_LF) {
				buf_putc(log, 'B');
			} else if (s == POP3_LINE_TOO_LONG) {
				buf_putc(log, 'L');
			}
			memmove(held, held + used, n - used);
			n -= used;
			if (s == POP3_LINE_MORE)
				break;
		}
		/* what is kept never grows beyond a line */
		assert_true(n < POP3_LINE_MAX);
	}
}

static void
same_lines_however_cut(void **state)
{
	(void)state;
	static char in_text[STREAM_MAX], want_text[STREAM_MAX],
	    got_text[STREAM_MAX];
	struct buf in = BUF_ON(in_text), want = BUF_ON(want_text);
	buf_puts(&in, "USER bob\r\n\r\nPASS a\rb\r\r\nSTAT\nLIST 1\r\n");
	for (int i = 0; i < POP3_LINE_MAX - 2; i++)
		buf_putc(&in, 'x');
	buf_puts(&in, "\r\n");
	for (int i = 0; i < POP3_LINE_MAX - 1; i++)
		buf_putc(&in, 'y');
	buf_puts(&in, "\r\n");
	for (int i = 0; i < 2 * POP3_LINE_MAX; i++)
		buf_putc(&in, 'z');
	buf_puts(&in, "\nQUIT\r\nrest");

	buf_puts(&want, "[USER bob][][PASS a\rb\r]B[LIST 1][");
	for (int i = 0; i < POP3_LINE_MAX - 2; i++)
		buf_putc(&want, 'x');
	buf_puts(&want, "]LL[QUIT]");
	assert_false(in.full || want.full);
	for (size_t step = 1; step <= in.n; step++) {
		struct buf got = BUF_ON(got_text);
		feed(buf_str(&in), step, &got);
		assert_true(str_eq(buf_str(&got), buf_str(&want)));
	}
}

static const struct {
	const char *line;
	enum pop3_status status;
	enum pop3_verb verb;
	const char *text;
	bool has_number;
	uint32_t number, lines;
} cases[] = {
	{ "STAT", POP3_OK, POP3_STAT, "", false, 0, 0 },
	{ "stat", POP3_OK, POP3_STAT, "", false, 0, 0 },
	{ "sTaT  ", POP3_OK, POP3_STAT, "", false, 0, 0 },
	{ "STAT 1", POP3_SYNTAX, POP3_STAT, "", false, 0, 0 },
	{ "LIST", POP3_OK, POP3_LIST, "", false, 0, 0 },
	{ "LIST ", POP3_OK, POP3_LIST, "", false, 0, 0 },
	{ "LIST 7", POP3_OK, POP3_LIST, "", true, 7, 0 },
	{ "LIST 0", POP3_OK, POP3_LIST, "", true, 0, 0 },
	{ "LIST 007 ", POP3_OK, POP3_LIST, "", true, 7, 0 },
	{ "LIST -1", POP3_SYNTAX, POP3_LIST, "", true, 0, 0 },
	{ "LIST +1", POP3_SYNTAX, POP3_LIST, "", true, 0, 0 },
	{ "LIST 1 2", POP3_SYNTAX, POP3_LIST, "", true, 0, 0 },
	{ "LIST  1", POP3_SYNTAX, POP3_LIST, "", true, 0, 0 },
	{ "LIST 1\t", POP3_SYNTAX, POP3_LIST, "", false, 0, 0 },
	{ "UIDL 2147483647", POP3_OK, POP3_UIDL, "", true, 2147483647, 0 },
	{ "UIDL 2147483648", POP3_SYNTAX, POP3_UIDL, "", true, 0, 0 },
	{ "UIDL 99999999999999999999", POP3_SYNTAX, POP3_UIDL, "", true, 0, 0 },
	{ "RETR", POP3_SYNTAX, POP3_RETR, "", true, 0, 0 },
	{ "RETR x", POP3_SYNTAX, POP3_RETR, "", true, 0, 0 },
	{ "RETR 3", POP3_OK, POP3_RETR, "", true, 3, 0 },
	{ "DELE 3", POP3_OK, POP3_DELE, "", true, 3, 0 },
	{ "TOP 1 0", POP3_OK, POP3_TOP, "", true, 1, 0 },
	{ "TOP 1 10 ", POP3_OK, POP3_TOP, "", true, 1, 10 },
	{ "TOP 1", POP3_SYNTAX, POP3_TOP, "", true, 0, 0 },
	{ "TOP 1 -1", POP3_SYNTAX, POP3_TOP, "", true, 1, 0 },
	{ "TOP 1 2 3", POP3_SYNTAX, POP3_TOP, "", true, 1, 0 },
	{ "USER bob", POP3_OK, POP3_USER, "bob", false, 0, 0 },
	{ "user bob@x.y  ", POP3_OK, POP3_USER, "bob@x.y", false, 0, 0 },
	{ "USER", POP3_SYNTAX, POP3_USER, "", false, 0, 0 },
	{ "USER  ", POP3_SYNTAX, POP3_USER, "", false, 0, 0 },
	{ "USER b\tb", POP3_SYNTAX, POP3_USER, "", false, 0, 0 },
	{ "PASS hungry", POP3_OK, POP3_PASS, "hungry", false, 0, 0 },
	{ "PASS  two  words ", POP3_OK, POP3_PASS, " two  words ", false, 0,
	    0 },
	{ "PASS h\xc3\xbcngrig\t", POP3_OK, POP3_PASS, "h\xc3\xbcngrig\t",
	    false, 0, 0 },
	{ "PASS a\rb", POP3_SYNTAX, POP3_PASS, "", false, 0, 0 },
	{ "PASS", POP3_SYNTAX, POP3_PASS, "", false, 0, 0 },
	{ "PASS ", POP3_SYNTAX, POP3_PASS, "", false, 0, 0 },
	{ "CAPA", POP3_OK, POP3_CAPA, "", false, 0, 0 },
	{ "NOOP", POP3_OK, POP3_NOOP, "", false, 0, 0 },
	{ "RSET", POP3_OK, POP3_RSET, "", false, 0, 0 },
	{ "QUIT", POP3_OK, POP3_QUIT, "", false, 0, 0 },
	{ "QUIT now", POP3_SYNTAX, POP3_QUIT, "", false, 0, 0 },
	{ "", POP3_UNKNOWN, POP3_NOOP, "", false, 0, 0 },
	{ " STAT", POP3_UNKNOWN, POP3_NOOP, "", false, 0, 0 },
	{ "STATS", POP3_UNKNOWN, POP3_NOOP, "", false, 0, 0 },
	{ "STA", POP3_UNKNOWN, POP3_NOOP, "", false, 0, 0 },
	{ "STAT\t", POP3_UNKNOWN, POP3_NOOP, "", false, 0, 0 },
	{ "APOP bob c4c9334bac560ecc979e58001b3e22fb", POP3_UNKNOWN, POP3_NOOP,
	    "", false, 0, 0 },
};

static void
parses_commands(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		struct pop3_command c;
		enum pop3_status s =
		    pop3_command_parse(str_of(cases[i].line), &c);
		if (s != cases[i].status)
			fail_msg("%s: %d", cases[i].line, (int)s);
		if (s == POP3_UNKNOWN)
			continue;
		assert_int_equal(c.verb, cases[i].verb);
		if (s != POP3_OK)
			continue;
		assert_true(str_eq(c.text, str_of(cases[i].text)));
		assert_int_equal(c.has_number, cases[i].has_number);
		assert_int_equal(c.number, cases[i].number);
		assert_int_equal(c.lines, cases[i].lines);
	}
}

static void
refuses_nul(void **state)
{
	(void)state;
	struct pop3_command c;
	assert_int_equal(pop3_command_parse(STR("PASS a\0b"), &c), POP3_SYNTAX);
	assert_int_equal(pop3_command_parse(STR("USER a\0b"), &c), POP3_SYNTAX);
	assert_int_equal(pop3_command_parse(STR("STAT\0"), &c), POP3_UNKNOWN);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_lines_however_cut),
		cmocka_unit_test(parses_commands),
		cmocka_unit_test(refuses_nul),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
