/* SPDX-License-Identifier: ISC
 * Unit tests of common/str, buf, clock and ip.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "common/buf.h"
#include "common/clock.h"
#include "common/ip.h"

static void
test_compare(void **state)
{
	(void)state;
	assert_true(str_eq(STR(""), str_of(NULL)));
	assert_true(str_eq(STR("a\0b"), STR("a\0b")));
	assert_false(str_eq(STR("a\0b"), STR("a\0c")));
	assert_true(str_ieq(STR("AzZ09"), STR("aZz09")));
	assert_false(str_ieq(STR("["), STR("{")));
	assert_true(str_starts(STR("abc"), STR("ab")));
	assert_false(str_starts(STR("a"), STR("ab")));
	assert_true(str_istarts(STR("MAIL FROM"), STR("mail from")));
	assert_true(str_ends(STR("abc"), STR("bc")));
	assert_false(str_ends(STR("c"), STR("bc")));
	assert_true(str_cmp(STR("a"), STR("ab")) < 0);
	assert_true(str_cmp(STR("b"), STR("ab")) > 0);
	assert_int_equal(str_cmp(STR("ab"), STR("ab")), 0);
}

static void
test_cut(void **state)
{
	(void)state;
	struct str head;
	struct str tail;
	assert_true(str_cut(STR("a=b=c"), '=', &head, &tail));
	assert_true(str_eq(head, STR("a")) && str_eq(tail, STR("b=c")));
	assert_true(str_rcut(STR("a=b=c"), '=', &head, &tail));
	assert_true(str_eq(head, STR("a=b")) && str_eq(tail, STR("c")));
	assert_false(str_cut(STR("abc"), '=', &head, &tail));
	assert_true(str_eq(head, STR("abc")) && tail.n == 0);
	assert_false(str_rcut(STR(""), '=', &head, &tail));
	assert_true(head.n == 0 && tail.n == 0);
	struct str s = STR("x:y");
	assert_true(str_cut(s, ':', &s, &tail));
	assert_true(str_eq(s, STR("x")));
	assert_true(str_eq(str_trim(STR(" \t a b\r\n")), STR("a b")));
	assert_int_equal(str_trim(STR(" \t")).n, 0);
	struct str words = STR(" \ta  b\r\tc \n");
	assert_true(str_eq(str_word(&words), STR("a")));
	assert_true(str_eq(str_word(&words), STR("b\r")));
	assert_true(str_eq(str_word(&words), STR("c")));
	assert_int_equal(str_word(&words).n, 0);
}

static void
test_lines(void **state)
{
	(void)state;
	struct str rest = STR("one\n\nthree");
	struct str line;
	assert_true(str_line(&rest, &line) && str_eq(line, STR("one")));
	assert_true(str_line(&rest, &line) && line.n == 0);
	assert_true(str_line(&rest, &line) && str_eq(line, STR("three")));
	assert_false(str_line(&rest, &line));
}

static void
test_numbers(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint64_t max, v;
		bool ok;
	} cases[] = {
		{ "0", 0, 0, true },
		{ "007", 9, 7, true },
		{ "18446744073709551615", UINT64_MAX, UINT64_MAX, true },
		{ "18446744073709551616", UINT64_MAX, 0, false },
		{ "99999999999999999999999", UINT64_MAX, 0, false },
		{ "10", 9, 0, false },
		{ "", 9, 0, false },
		{ "-1", 9, 0, false },
		{ "1 ", 9, 0, false },
		{ "+1", 9, 0, false },
	};
	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		uint64_t v = 42;
		assert_int_equal(
		    str_u64(str_of(cases[i].text), cases[i].max, &v),
		    cases[i].ok);
		assert_int_equal(v, cases[i].ok ? cases[i].v : 42);
	}
	uint64_t id;
	assert_true(str_hex64(STR("0006a1b2c3d4e5f6"), &id));
	assert_int_equal(id, 0x6a1b2c3d4e5f6);
	assert_false(str_hex64(STR("0006A1b2c3d4e5f6"), &id));
	assert_false(str_hex64(STR("06a1b2c3d4e5f6"), &id));
}

static void
test_buf(void **state)
{
	(void)state;
	char text[8];
	struct buf b = BUF_ON(text);
	buf_put(&b, STR("12345"));
	buf_put(&b, STR("6789")); /* does not fit: nothing of it is put */
	assert_true(b.full);
	buf_putc(&b, 'x'); /* would fit, but the error sticks */
	assert_true(str_eq(buf_str(&b), STR("12345")));
	assert_int_equal(buf_room(&b), 0);
	assert_null(buf_cstr(&b));
	buf_reset(&b);
	buf_put_padded(&b, 7, 3);
	assert_string_equal(buf_cstr(&b), "007");
	buf_drop(&b, 2);
	assert_string_equal(buf_cstr(&b), "7");
	buf_put_lower(&b, STR("ABz"));
	assert_string_equal(buf_cstr(&b), "7abz");
	buf_drop(&b, 99);
	assert_int_equal(b.n, 0);
	buf_put(&b, STR("12345678"));
	assert_false(b.full);
	assert_null(buf_cstr(&b)); /* no room for the NUL */
	buf_cut(&b, 3);
	assert_string_equal(buf_cstr(&b), "123");
	buf_put(&b, STR("\0"));
	assert_null(buf_cstr(&b));
	char wide[64];
	struct buf w = BUF_ON(wide);
	buf_put_hex64(&w, 0xabc);
	buf_put_u64(&w, UINT64_MAX);
	assert_string_equal(
	    buf_cstr(&w), "0000000000000abc18446744073709551615");
}

static void
test_dates(void **state)
{
	(void)state;
	static const struct {
		int64_t t;
		const char *text;
	} cases[] = {
		{ 0, "Thu, 1 Jan 1970 00:00:00 +0000" },
		{ 951782400, "Tue, 29 Feb 2000 00:00:00 +0000" },
		{ 1709210096, "Thu, 29 Feb 2024 12:34:56 +0000" },
		{ 1735689599, "Tue, 31 Dec 2024 23:59:59 +0000" },
		{ 4107542400, "Mon, 1 Mar 2100 00:00:00 +0000" },
		{ 253402300799, "Fri, 31 Dec 9999 23:59:59 +0000" },
	};
	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		char text[64];
		struct buf b = BUF_ON(text);
		clock_put_rfc5322(&b, cases[i].t);
		assert_string_equal(buf_cstr(&b), cases[i].text);
	}
	char text[64];
	struct buf b = BUF_ON(text);
	clock_put_iso(&b, 1709210096000042);
	assert_string_equal(buf_cstr(&b), "2024-02-29T12:34:56.000042Z");
}

static void
test_networks(void **state)
{
	(void)state;
	static const struct {
		const char *net, *ip;
		int in; /* -1: not a network */
	} cases[] = {
		{ "192.0.2.0/24", "192.0.2.255", 1 },
		{ "192.0.2.0/24", "192.0.3.0", 0 },
		{ "192.0.2.", "192.0.2.7", 1 },
		{ "192.0.2.", "192.0.20.7", 0 },
		{ "10.", "10.1.2.3", 1 },
		{ "0.0.0.0/0", "203.0.113.9", 1 },
		{ "0.0.0.0/0", "2001:db8::1", 0 },
		{ "::/0", "2001:db8::1", 1 },
		{ "2001:db8::/33", "2001:db8:7fff::1", 1 },
		{ "2001:db8::/33", "2001:db8:8000::1", 0 },
		{ "2001:db8::1", "2001:db8::1", 1 },
		{ "127.0.0.1", "127.0.0.1", 1 },
		{ "127.0.0.1", "::ffff:127.0.0.1", 1 },
		{ "::1", "127.0.0.1", 0 },
		{ "127.0.0.1/33", "127.0.0.1", -1 },
		{ "127.0.0.", "127.0.0.1", 1 },
		{ "127.0.0.1.2.", "127.0.0.1", -1 },
		{ "256.", "127.0.0.1", -1 },
		{ ".", "127.0.0.1", -1 },
		{ "", "127.0.0.1", -1 },
		{ "localhost", "127.0.0.1", -1 },
	};
	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		struct ip_net net;
		struct ip ip;
		assert_true(ip_parse(str_of(cases[i].ip), &ip));
		bool ok = ip_net_parse(str_of(cases[i].net), &net);
		assert_int_equal(ok, cases[i].in >= 0);
		if (ok)
			assert_int_equal(ip_net_has(&net, &ip), cases[i].in);
	}
}

static void
test_ip_text(void **state)
{
	(void)state;
	static const char *const texts[] = { "192.0.2.1", "2001:db8::1",
		"::1" };
	for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
		struct ip ip;
		struct ip back;
		struct sockaddr_storage ss;
		uint16_t port;
		char text[64];
		struct buf b = BUF_ON(text);
		assert_true(ip_parse(str_of(texts[i]), &ip));
		ip_put(&b, &ip);
		assert_string_equal(buf_cstr(&b), texts[i]);
		assert_true(ip_to_sockaddr(&ip, 2525, &ss) > 0);
		assert_true(ip_from_sockaddr(&ss, &back, &port));
		assert_true(ip_eq(&ip, &back));
		assert_int_equal(port, 2525);
	}
	struct ip ip;
	assert_false(ip_parse(STR("192.0.2.1\0"), &ip));
	assert_false(ip_parse(STR("fe80::1%eth0"), &ip));
	assert_false(ip_parse(STR("1.2.3"), &ip));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_buf),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_networks),
		cmocka_unit_test(test_ip_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
