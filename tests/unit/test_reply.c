/* SPDX-License-Identifier: ISC
 * Tests of send/reply, each input cut at every byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "send/reply.h"

static const struct {
	const char *in;
	enum reply_status status;
	unsigned code;
	const char *text, *enhanced, *rest;
} cases[] = {
	{ "220 a ESMTP\r\n", REPLY_DONE, 220, "a ESMTP", "", "" },
	{ "250\r\n", REPLY_DONE, 250, "", "", "" },
	{ "250 \r\n", REPLY_DONE, 250, "", "", "" },
	{ "250-\r\n250 x\r\n", REPLY_DONE, 250, " x", "", "" },
	{ "250-a\r\n250-b\r\n250 c\r\n", REPLY_DONE, 250, "a b c", "", "" },
	{ "250 2.1.0 ok\r\n", REPLY_DONE, 250, "2.1.0 ok", "2.1.0", "" },
	{ "250 2.1.0\r\n", REPLY_DONE, 250, "2.1.0", "2.1.0", "" },
	{ "550 5.123.999 no\r\n", REPLY_DONE, 550, "5.123.999 no", "5.123.999",
	    "" },
	{ "550 5.1234.9 no\r\n", REPLY_DONE, 550, "5.1234.9 no", "", "" },
	{ "550 4.1.1 no\r\n", REPLY_DONE, 550, "4.1.1 no", "", "" },
	{ "550 5.1.1no\r\n", REPLY_DONE, 550, "5.1.1no", "", "" },
	{ "550 5.1.\r\n", REPLY_DONE, 550, "5.1.", "", "" },
	{ "550-5.7.1 a\r\n550 5.7.2 b\r\n", REPLY_DONE, 550, "5.7.1 a 5.7.2 b",
	    "5.7.1", "" },
	{ "550-a\r\n550 5.7.2 b\r\n", REPLY_DONE, 550, "a 5.7.2 b", "5.7.2",
	    "" },
	{ "250 a\tb\\c\x7f\x80\r\n", REPLY_DONE, 250, "a\\x09b\\x5cc\\x7f\\x80",
	    "", "" },
	{ "250 ok\r\n354 go\r\n", REPLY_DONE, 250, "ok", "", "354 go\r\n" },
	{ "250", REPLY_MORE, 0, NULL, NULL, NULL },
	{ "250 ok\r", REPLY_MORE, 0, NULL, NULL, NULL },
	{ "250-ok\r\n", REPLY_MORE, 0, NULL, NULL, NULL },
	{ "", REPLY_MORE, 0, NULL, NULL, NULL },
	{ "250 ok\n", REPLY_BAD, 0, NULL, NULL, NULL },
	{ "250 o\rk\r\n", REPLY_BAD, 0, NULL, NULL, NULL },
	{ "250 ok\r\r\n", REPLY_BAD, 0, NULL, NULL, NULL },
	{ "250-a\r\n251 b\r\n", REPLY_BAD, 0, NULL, NULL, NULL },
	{ "250-a\r\nb\r\n", REPLY_BAD, 0, NULL, NULL, NULL },
	{ "150 ok\r\n", REPLY_BAD, 0, NULL, NULL, NULL },
	{ "600 ok\r\n", REPLY_BAD, 0, NULL, NULL, NULL },
	{ "25 ok\r\n", REPLY_BAD, 0, NULL, NULL, NULL },
	{ "2500 ok\r\n", REPLY_BAD, 0, NULL, NULL, NULL },
	{ "250_ok\r\n", REPLY_BAD, 0, NULL, NULL, NULL },
	{ "\r\n", REPLY_BAD, 0, NULL, NULL, NULL },
	{ " 250 ok\r\n", REPLY_BAD, 0, NULL, NULL, NULL },
	{ "SSH-2.0-x\r\n", REPLY_BAD, 0, NULL, NULL, NULL },
};

/* Feeds `in` in pieces of at most `piece` bytes, first one `first`. */
static enum reply_status
feed(struct reply *r, struct str in, size_t first, size_t piece, size_t *used)
{
	size_t n = first;

	*used = 0;
	reply_begin(r);
	for (;;) {
		size_t took;
		enum reply_status s =
		    reply_feed(r, str_head(str_skip(in, *used), n), &took);

		*used += took;
		if (s == REPLY_BAD || s == REPLY_DONE)
			return s;
		if (*used >= in.n)
			return REPLY_MORE;
		n = s == REPLY_LINE ? in.n : piece;
	}
}

static void
check(size_t i, size_t first, size_t piece)
{
	static struct reply r;
	struct str in = str_of(cases[i].in);
	size_t used;
	enum reply_status s = feed(&r, in, first, piece, &used);

	if (s != cases[i].status)
		fail_msg("'%s' cut at %zu: %d", cases[i].in, first, (int)s);
	if (s != REPLY_DONE)
		return;
	assert_int_equal(r.code, cases[i].code);
	if (!str_eq(reply_text(&r), str_of(cases[i].text)))
		fail_msg("'%s': '%.*s'", cases[i].in, (int)reply_text(&r).n,
		    reply_text(&r).p);
	assert_true(str_eq(reply_enhanced(&r), str_of(cases[i].enhanced)));
	assert_true(str_eq(str_skip(in, used), str_of(cases[i].rest)));
}

static void
every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		size_t n = strlen(cases[i].in);

		for (size_t first = 0; first <= n; first++)
			check(i, first, n + 1);
		check(i, 1, 1);
	}
}

/* The lines of an EHLO answer come one by one. */
static void
lines(void **state)
{
	(void)state;
	static struct reply r;
	struct str in = STR("250-a.example\r\n250-SIZE 10\r\n250 HELP\r\n");
	const char *want[] = { "a.example", "SIZE 10", "HELP" };
	size_t used;

	reply_begin(&r);
	for (size_t i = 0; i < 3; i++) {
		enum reply_status s = reply_feed(&r, in, &used);

		assert_int_equal(s, i < 2 ? REPLY_LINE : REPLY_DONE);
		assert_true(str_eq(reply_line(&r), str_of(want[i])));
		in = str_skip(in, used);
	}
	assert_int_equal(in.n, 0);
}

/* A long line is cut, a long reply ends the dialogue. */
static void
bounds(void **state)
{
	(void)state;
	static struct reply r;
	static char line[3000];
	size_t used, total = 0;

	memset(line, 0xff, sizeof(line));
	reply_begin(&r);
	assert_int_equal(reply_feed(&r, STR("250 "), &used), REPLY_MORE);
	assert_int_equal(
	    reply_feed(&r, (struct str){ line, sizeof(line) }, &used),
	    REPLY_MORE);
	assert_int_equal(reply_feed(&r, STR("\r\n"), &used), REPLY_DONE);
	assert_int_equal(reply_line(&r).n, REPLY_LINE_MAX);
	assert_true(reply_text(&r).n <= LIMIT_REPLY_TEXT);
	assert_int_equal(reply_text(&r).n % 4, 0);

	reply_begin(&r);
	for (;;) {
		enum reply_status s = reply_feed(&r, STR("250-x\r\n"), &used);

		total += used;
		if (s == REPLY_BAD)
			break;
		assert_int_equal(s, REPLY_LINE);
		assert_true(total <= REPLY_BYTES_MAX);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cut),
		cmocka_unit_test(lines),
		cmocka_unit_test(bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
