/* SPDX-License-Identifier: ISC
 * Unit test of inject/text, qp, utf8 and envelope.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "inject/envelope.h"
#include "inject/qp.h"
#include "inject/text.h"

static const struct {
	const char *in;
	bool dot_ends;
	enum text_status status; /* at last; MORE: it ended well */
	const char *out;
} texts[] = {
	{ "", false, TEXT_MORE, "" },
	{ "a", false, TEXT_MORE, "a\n" },
	{ "a\n", false, TEXT_MORE, "a\n" },
	{ "a\r\nb\r\n", false, TEXT_MORE, "a\nb\n" },
	{ "a\r\nb\n\r\n", false, TEXT_MORE, "a\nb\n\n" },
	{ "a\rb\n", false, TEXT_CR, NULL },
	{ "a\r\r\n", false, TEXT_CR, NULL },
	{ "a\r", false, TEXT_CR, NULL },
	{ ".\nb\n", false, TEXT_MORE, ".\nb\n" },
	{ "a\n.\nb\n", true, TEXT_DOT, "a\n" },
	{ "a\n.\r\nb\n", true, TEXT_DOT, "a\n" },
	{ "a\n.", true, TEXT_MORE, "a\n" },
	{ "a\n.", false, TEXT_MORE, "a\n.\n" },
	{ "a\n..\n.b\nc.\n", true, TEXT_MORE, "a\n..\n.b\nc.\n" },
	{ "a\n.\r", true, TEXT_CR, NULL },
};

static enum text_status
feed(const char *in, bool dot_ends, size_t piece, struct buf *out)
{
	struct text t = { .dot_ends = dot_ends };
	struct str rest = str_of(in);
	enum text_status status = TEXT_MORE;

	while (rest.n > 0 && status == TEXT_MORE) {
		status = text_feed(&t, str_head(rest, piece), out);
		rest = str_skip(rest, piece);
	}
	return status == TEXT_MORE ? text_end(&t, out) : status;
}

static void
test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(texts); i++)
		for (size_t piece = 1; piece < 9; piece++) {
			char room[64];
			struct buf out = BUF_ON(room);

			assert_int_equal(
			    feed(texts[i].in, texts[i].dot_ends, piece, &out),
			    texts[i].status);
			if (texts[i].out != NULL)
				assert_string_equal(
				    buf_cstr(&out), texts[i].out);
		}
}

static void
test_nul(void **state)
{
	char room[16];
	struct buf out = BUF_ON(room);
	struct text t = { .dot_ends = false };
	(void)state;

	assert_int_equal(text_feed(&t, STR("a\0b"), &out), TEXT_NUL);
}

static void
test_facts(void **state)
{
	struct text_facts f = { .size = 0 };
	(void)state;

	text_look(&f, STR("ab"));
	text_look(&f, STR("cd\nx\nefg"));
	assert_int_equal(f.longest, 4);
	assert_int_equal(f.size, 10);
	assert_false(f.utf8.eight_bit);
	text_look(&f, STR("hijk\xc3"));
	assert_int_equal(f.longest, 8);
	assert_true(f.utf8.eight_bit);
	assert_false(utf8_good(&f.utf8));
	text_look(&f, STR("\xbc\n"));
	assert_true(utf8_good(&f.utf8));
	assert_string_equal(utf8_charset(true, true), "utf-8");
	assert_string_equal(utf8_charset(true, false), "unknown-8bit");
	assert_string_equal(utf8_charset(false, true), "us-ascii");
}

static void
test_utf8(void **state)
{
	(void)state;
	assert_true(utf8_is(STR("a\xc2\x80\xe0\xa0\x80\xf4\x8f\xbf\xbf")));
	assert_false(utf8_is(STR("\xc0\x80")));
	assert_false(utf8_is(STR("\xe0\x9f\x80")));
	assert_false(utf8_is(STR("\xed\xa0\x80")));
	assert_false(utf8_is(STR("\xf4\x90\x80\x80")));
	assert_false(utf8_is(STR("\xc3")));
	assert_false(utf8_is(STR("\xc3"
				 "a")));
	assert_false(utf8_is(STR("\x80")));
}

#define A70                                                                    \
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
	"aa"

static const struct {
	const char *in, *out;
} coded[] = {
	{ "", "" },
	{ "plain\n", "plain\n" },
	{ "a=b\xc3\xbc\n", "a=3Db=C3=BC\n" },
	{ "space \ntab\t\n", "space=20\ntab=09\n" },
	{ "a b  c\n", "a b  c\n" },
	{ " \n \n", "=20\n=20\n" },
	{ ".\n..\n.a\n", "=2E\n..\n.a\n" },
	{ "From me\nFrom\nFromage\nFrom \n", "=46rom me\nFrom\nFromage\n"
					     "=46rom=20\n" },
	{ "x From me\n", "x From me\n" },
	{ A70 "12345\n", A70 "12345\n" },
	{ A70 "123456\n", A70 "12345=\n6\n" },
	{ A70 "123\xfc\n", A70 "123=\n=FC\n" },
	{ "no end", "no end" },
	{ "From ", "From " },
};

static void
test_qp(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(coded); i++)
		for (size_t piece = 1; piece < 9; piece++) {
			char room[512];
			struct buf out = BUF_ON(room);
			struct qp q = { .column = 0 };
			struct str rest = str_of(coded[i].in);

			for (; rest.n > 0; rest = str_skip(rest, piece))
				qp_feed(&q, str_head(rest, piece), &out);
			qp_end(&q, &out);
			assert_string_equal(buf_cstr(&out), coded[i].out);
		}
}

static void
test_envelope(void **state)
{
	static struct envelope e;
	char room[32];
	(void)state;

	envelope_begin(&e);
	envelope_set_sender(&e, STR("s@x"));
	assert_int_equal(e.sender_n, 3);
	envelope_add(&e, STR("a@x"));
	envelope_add(&e, STR("b@x"));
	envelope_add(&e, STR("a@x"));
	assert_int_equal(e.count, 2);
	assert_true(str_eq(buf_str(&e.recipients), STR("Ta@x\0Tb@x\0")));
	for (unsigned i = 0; i < LIMIT_RECIPIENTS; i++) {
		struct buf b = BUF_ON(room);

		buf_put_u64(&b, i);
		buf_puts(&b, "@y");
		envelope_add(&e, buf_str(&b));
	}
	assert_int_equal(e.count, LIMIT_RECIPIENTS);
	assert_true(e.full);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_nul),
		cmocka_unit_test(test_facts),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_qp),
		cmocka_unit_test(test_envelope),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
