/* SPDX-License-Identifier: ISC
 * Unit tests of mailname, headscan and seen.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "send/headscan.h"
#include "send/mailname.h"
#include "send/seen.h"

#define ID UINT64_C(0x000660d2b9fda95b) /* 1795308040.070491 s */

static void
assert_buf(struct buf *b, const char *wanted)
{
	const char *got = buf_cstr(b);
	assert_non_null(got);
	assert_string_equal(got, wanted);
}

static void
test_unique(void **state)
{
	(void)state;
	char text[MAILNAME_UNIQUE], other[MAILNAME_UNIQUE];
	struct buf a = BUF_ON(text), b = BUF_ON(other);
	mailname_put_unique(&a, ID, STR("bob@hamburger.edu"));
	assert_buf(&a, "1795308040.Q000660d2b9fda95bR234470d7abfa2c11");
	mailname_put_unique(&b, ID, STR("BOB@Hamburger.Edu"));
	assert_true(str_eq(buf_str(&a), buf_str(&b)));
	buf_reset(&b);
	mailname_put_unique(&b, ID, STR("bob@hamburger.ed"));
	assert_false(str_eq(buf_str(&a), buf_str(&b)));
	buf_reset(&b);
	mailname_put_unique(&b, UINT64_MAX, STR(""));
	assert_non_null(buf_cstr(&b));
}

static void
test_host(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "mx.crepes.fr", "mx.crepes.fr" },
		{ "a/b:c,d", "a\\057b\\072c\\054d" },
		{ "x y\\", "x\\040y\\134" },
		{ "", "" },
		{ "\xff", "\\377" },
	};
	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		char text[MAILNAME_HOST + 1];
		struct buf b = BUF_ON(text);
		mailname_put_host(&b, str_of(cases[i].in));
		assert_buf(&b, cases[i].out);
	}
	char longest[300], text[MAILNAME_HOST];
	memset(longest, '/', sizeof(longest));
	struct buf b = BUF_ON(text);
	mailname_put_host(
	    &b, (struct str){ .p = longest, .n = sizeof(longest) });
	assert_false(b.full);
	assert_int_equal(b.n, MAILNAME_HOST);
}

static void
test_whole_name(void **state)
{
	(void)state;
	char text[MAILNAME_MAX];
	struct buf b = BUF_ON(text);
	mailname_put(&b, STR("1.Q2R3"), STR("h"), 12, 34);
	assert_buf(&b, "1.Q2R3.h,S=12,W=34");
	buf_reset(&b);
	mailname_put(&b, STR("1.Q2R3"), STR("h"), 12, 0);
	assert_buf(&b, "1.Q2R3.h,S=12");
	/* the longest there can be has room */
	char unique[MAILNAME_UNIQUE - 1], host[MAILNAME_HOST];
	memset(unique, 'u', sizeof(unique));
	memset(host, 'h', sizeof(host));
	buf_reset(&b);
	mailname_put(&b, (struct str){ unique, sizeof(unique) },
	    (struct str){ host, sizeof(host) }, UINT64_MAX, UINT64_MAX);
	assert_non_null(buf_cstr(&b));
}

static void
test_recognised(void **state)
{
	(void)state;
	static const struct str unique = { "1.Q2R3", 6 };
	assert_true(mailname_is(STR("1.Q2R3.host,S=1,W=2"), unique));
	assert_true(mailname_is(STR("1.Q2R3.other,S=1,W=2:2,RS"), unique));
	assert_false(mailname_is(STR("1.Q2R3"), unique));
	assert_false(mailname_is(STR("1.Q2R33.h"), unique));
	assert_false(mailname_is(STR("1.Q2R.h"), unique));
	assert_false(mailname_is(STR(""), unique));
}

static void
test_head(void **state)
{
	(void)state;
	char text[MAILNAME_HEAD + 1];
	struct buf b = BUF_ON(text);
	mailname_put_head(&b, STR(""), STR("b@c"));
	assert_buf(&b, "Return-Path: <>\nDelivered-To: b@c\n");
	char longest[LIMIT_ADDRESS];
	memset(longest, 'x', sizeof(longest));
	struct str a = { longest, sizeof(longest) };
	struct buf exact = { .p = text, .cap = MAILNAME_HEAD };
	mailname_put_head(&exact, a, a);
	assert_false(exact.full);
	assert_true(mailname_clean(STR("a b\xc3\xa9@c")));
	assert_false(mailname_clean(STR("a\nb@c")));
	assert_false(mailname_clean((struct str){ "a\0b", 3 }));
	assert_false(mailname_clean(STR("a\x7f")));
}

/* Every length and every place of an LF, against the plain way. */
static void
test_count_lf(void **state)
{
	(void)state;
	char text[40];
	for (size_t n = 0; n <= sizeof(text); n++)
		for (unsigned seed = 0; seed < 200; seed++) {
			size_t wanted = 0;
			for (size_t i = 0; i < n; i++) {
				static const char bytes[] = { '\n', '\n',
					'\x0b', '\x09', (char)0x8a, 'x',
					(char)0xff, 0 };
				unsigned r = (unsigned)(i * 31 + seed * 17 +
							(i ^ seed) * 7);
				text[i] = bytes[(r >> 2) % sizeof(bytes)];
				wanted += text[i] == '\n';
			}
			struct str s = { text, n };
			assert_int_equal(mailname_count_lf(s), wanted);
		}
}

/* ---- headscan ---- */

/* All addresses found, each followed by a bar; input in pieces of n bytes. */
static void
scan(struct str in, size_t n, struct buf *out)
{
	struct headscan h = { .ended = false };
	enum headscan_status status = HEADSCAN_MORE;
	while (in.n > 0 && status != HEADSCAN_END) {
		struct str piece = str_head(in, n);
		in = str_skip(in, n);
		do {
			struct str address;
			size_t used;
			status = headscan_feed(&h, piece, &address, &used);
			assert_true(used <= piece.n);
			piece = str_skip(piece, used);
			if (status == HEADSCAN_FOUND) {
				buf_put(out, address);
				buf_putc(out, '|');
			}
		} while (status == HEADSCAN_FOUND);
	}
}

static void
test_headscan(void **state)
{
	(void)state;
	static const struct {
		const char *in, *found;
	} cases[] = {
		{ "Delivered-To: a@b\n\n", "a@b|" },
		{ "X: y\ndelivered-TO:c@d \nDelivered-To: e@f\n\nDelivered-To: "
		  "g@h\n",
		    "c@d|e@f|" },
		{ "Delivered-To:\nDelivered-To:  \n", "" },
		{ "\nDelivered-To: a@b\n", "" },
		{ " Delivered-To: a@b\n", "" },
		{ "Delivered-To: a@b", "" }, /* no header ends like this */
		{ "XDelivered-To: a@b\n", "" },
		{ "", "" },
	};
	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		struct str in = str_of(cases[i].in);
		for (size_t n = 1; n <= in.n + 1; n++) {
			char text[256];
			struct buf out = BUF_ON(text);
			scan(in, n, &out);
			assert_buf(&out, cases[i].found);
		}
	}
}

static void
test_headscan_long_lines(void **state)
{
	(void)state;
	static char text[4096];
	for (size_t length = HEADSCAN_LINE - 20; length < HEADSCAN_LINE + 20;
	     length++) {
		struct buf b = BUF_ON(text);
		buf_puts(&b, "Delivered-To: ");
		while (b.n < length)
			buf_putc(&b, 'x');
		buf_puts(&b, "\nDelivered-To: a@b\n\n");
		char first[2048];
		struct buf whole = BUF_ON(first);
		scan(buf_str(&b), sizeof(text), &whole);
		for (size_t n = 1; n < 400; n++) {
			char found[2048];
			struct buf out = BUF_ON(found);
			scan(buf_str(&b), n, &out);
			assert_true(str_eq(buf_str(&out), buf_str(&whole)));
		}
		assert_true(str_ends(buf_str(&whole), STR("a@b|")));
	}
}

/* ---- seen ---- */

static void
test_seen(void **state)
{
	(void)state;
	static struct seen s;
	seen_reset(&s);
	char text[MAILNAME_UNIQUE];
	for (uint64_t i = 0; i < 1000; i++) {
		struct buf b = BUF_ON(text);
		mailname_put_unique(&b, ID + 2 * i, STR("a@b"));
		buf_puts(&b, ".h");
		seen_add(&s, buf_str(&b));
	}
	seen_add(&s, STR("1234.M5P6.other")); /* another program's */
	seen_add(&s, STR("1234.Q5"));
	unsigned wrong = 0;
	for (uint64_t i = 0; i < 1000; i++) {
		struct buf b = BUF_ON(text);
		mailname_put_unique(&b, ID + 2 * i, STR("a@b"));
		assert_true(seen_maybe(&s, buf_str(&b)));
		buf_reset(&b);
		mailname_put_unique(&b, ID + 2 * i + 1, STR("a@b"));
		wrong += seen_maybe(&s, buf_str(&b));
	}
	assert_true(wrong < 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unique),
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_whole_name),
		cmocka_unit_test(test_recognised),
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_count_lf),
		cmocka_unit_test(test_headscan),
		cmocka_unit_test(test_headscan_long_lines),
		cmocka_unit_test(test_seen),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
