/* SPDX-License-Identifier: ISC
 * Unit test of common/address.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "common/address.h"
#include "common/limits.h"

#define L60 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff"

static const struct {
	const char *in;
	bool bare;
	enum address_status status;
	const char *canonical;
} cases[] = {
	{ "alice@crepes.fr", false, ADDRESS_OK, "alice@crepes.fr" },
	{ "Alice@Crepes.FR", false, ADDRESS_OK, "Alice@crepes.fr" },
	{ "a.b+c@x", false, ADDRESS_OK, "a.b+c@x" },
	{ "!#$%&'*+-/=?^_`{|}~@x", false, ADDRESS_OK, "!#$%&'*+-/=?^_`{|}~@x" },
	{ "a@x.", false, ADDRESS_OK, "a@x" },
	{ "a@_dmarc.x-y.z", false, ADDRESS_OK, "a@_dmarc.x-y.z" },
	{ "\"a\"@x", false, ADDRESS_OK, "a@x" },
	{ "\"a b\"@x", false, ADDRESS_OK, "\"a b\"@x" },
	{ "\"\\a\\ b\"@x", false, ADDRESS_OK, "\"a b\"@x" },
	{ "\"a\\\"b\\\\\"@x", false, ADDRESS_OK, "\"a\\\"b\\\\\"@x" },
	{ "\"a.b\"@x", false, ADDRESS_OK, "a.b@x" },
	{ "\"a..b\"@x", false, ADDRESS_OK, "\"a..b\"@x" },
	{ "\"a@b\"@x", false, ADDRESS_OK, "\"a@b\"@x" },
	{ "\"\"@x", false, ADDRESS_OK, "\"\"@x" },
	{ "a@[192.0.2.1]", false, ADDRESS_OK, "a@[192.0.2.1]" },
	{ "a@[ipv6:2001:DB8::1]", false, ADDRESS_OK, "a@[IPv6:2001:db8::1]" },
	{ "a@[IPv6:::ffff:192.0.2.1]", false, ADDRESS_OK,
	    "a@[IPv6:::ffff:192.0.2.1]" },
	{ "postmaster", true, ADDRESS_OK, "postmaster" },
	{ "\"a@b\"", true, ADDRESS_OK, "\"a@b\"" },
	{ L60 "1234@x", false, ADDRESS_OK, L60 "1234@x" },

	{ "postmaster", false, ADDRESS_SYNTAX, NULL },
	{ "", false, ADDRESS_SYNTAX, NULL },
	{ "", true, ADDRESS_SYNTAX, NULL },
	{ "@x", true, ADDRESS_SYNTAX, NULL },
	{ "a@", true, ADDRESS_SYNTAX, NULL },
	{ "a@@x", true, ADDRESS_SYNTAX, NULL },
	{ "a@x@y", false, ADDRESS_SYNTAX, NULL },
	{ ".a@x", false, ADDRESS_SYNTAX, NULL },
	{ "a.@x", false, ADDRESS_SYNTAX, NULL },
	{ "a..b@x", false, ADDRESS_SYNTAX, NULL },
	{ "a b@x", false, ADDRESS_SYNTAX, NULL },
	{ "a<b@x", false, ADDRESS_SYNTAX, NULL },
	{ "a@x>", false, ADDRESS_SYNTAX, NULL },
	{ "a@.", false, ADDRESS_SYNTAX, NULL },
	{ "a@x..", false, ADDRESS_SYNTAX, NULL },
	{ "a@.x", false, ADDRESS_SYNTAX, NULL },
	{ "a@x..y", false, ADDRESS_SYNTAX, NULL },
	{ "a@-x", false, ADDRESS_SYNTAX, NULL },
	{ "a@x-", false, ADDRESS_SYNTAX, NULL },
	{ "a@x y", false, ADDRESS_SYNTAX, NULL },
	{ "a@x/y", false, ADDRESS_SYNTAX, NULL },
	{ "a@" L60 "1234.x", false, ADDRESS_SYNTAX, NULL },
	{ "\"a@x", false, ADDRESS_SYNTAX, NULL },
	{ "\"a\\\"@x", false, ADDRESS_SYNTAX, NULL },
	{ "\"", true, ADDRESS_SYNTAX, NULL },
	{ "\"\\", true, ADDRESS_SYNTAX, NULL },
	{ "\"a\"b@x", false, ADDRESS_SYNTAX, NULL },
	{ "\"a\tb\"@x", false, ADDRESS_SYNTAX, NULL },
	{ "\"a\\\rb\"@x", false, ADDRESS_SYNTAX, NULL },
	{ "\xc3\xa9@x", false, ADDRESS_SYNTAX, NULL },
	{ "\"\xc3\xa9\"@x", false, ADDRESS_SYNTAX, NULL },
	{ "a@\xc3\xa9", false, ADDRESS_SYNTAX, NULL },
	{ "a@[192.0.2.256]", false, ADDRESS_SYNTAX, NULL },
	{ "a@[192.0.2]", false, ADDRESS_SYNTAX, NULL },
	{ "a@[192.0.2.1", false, ADDRESS_SYNTAX, NULL },
	{ "a@[]", false, ADDRESS_SYNTAX, NULL },
	{ "a@[", false, ADDRESS_SYNTAX, NULL },
	{ "a@[2001:db8::1]", false, ADDRESS_SYNTAX, NULL },
	{ "a@[IPv6:192.0.2.1]", false, ADDRESS_SYNTAX, NULL },
	{ "a@[IPv6:::1%lo]", false, ADDRESS_SYNTAX, NULL },
	{ "a@[IPv6:]", false, ADDRESS_SYNTAX, NULL },
	{ "a@[x]", false, ADDRESS_SYNTAX, NULL },
	{ L60 "12345@x", false, ADDRESS_TOO_LONG, NULL },
	{ "a@" L60 "." L60 "." L60 "." L60 "." L60, false, ADDRESS_TOO_LONG,
	    NULL },
};

static void
parse_and_put(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		char storage[LIMIT_ADDRESS];
		struct buf out = BUF_ON(storage);
		struct address a;
		enum address_status status =
		    address_parse(str_of(cases[i].in), cases[i].bare, &a);

		if (status != cases[i].status)
			fail_msg("%s: status %d", cases[i].in, (int)status);
		if (status != ADDRESS_OK)
			continue;
		address_put(&out, a);
		if (!str_eq(buf_str(&out), str_of(cases[i].canonical)))
			fail_msg("%s: put %.*s", cases[i].in,
			    (int)buf_str(&out).n, buf_str(&out).p);
	}
}

/* The canonical form parses, and is its own canonical form. */
static void
canonical_is_stable(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		if (cases[i].canonical == NULL)
			continue;
		char storage[LIMIT_ADDRESS];
		struct buf out = BUF_ON(storage);
		struct str in = str_of(cases[i].canonical);
		struct address a, split = address_split(in);

		assert_int_equal(address_parse(in, true, &a), ADDRESS_OK);
		assert_true(str_eq(a.local, split.local));
		assert_true(str_eq(a.domain, split.domain));
		address_put(&out, split);
		assert_true(str_eq(buf_str(&out), in));
	}
}

/* Every beginning of a good address gets an answer within its bytes. */
static void
every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(cases); i++)
		for (size_t n = 0; n <= strlen(cases[i].in); n++) {
			char exact[512];
			struct address a;

			memcpy(exact + sizeof(exact) - n, cases[i].in, n);
			(void)address_parse(
			    (struct str){ exact + sizeof(exact) - n, n }, true,
			    &a);
		}
}

static void
nul_is_refused(void **state)
{
	struct address a;

	(void)state;
	assert_int_equal(
	    address_parse(STR("a\0b@x"), false, &a), ADDRESS_SYNTAX);
	assert_int_equal(
	    address_parse(STR("a@x\0y"), false, &a), ADDRESS_SYNTAX);
	assert_int_equal(
	    address_parse(STR("\"a\0\"@x"), false, &a), ADDRESS_SYNTAX);
}

static void
unquoted(void **state)
{
	static const struct {
		const char *in, *out;
	} t[] = {
		{ "bob", "bob" },
		{ "\"bob\"", "bob" },
		{ "\"b o\\\"b\\\\\"", "b o\"b\\" },
		{ "\"\"", "" },
		{ "\"", "\"" },
		{ "\"\\\"", "\\" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(t); i++) {
		char storage[64];
		struct buf out = BUF_ON(storage);

		address_put_unquoted(&out, str_of(t[i].in));
		assert_true(str_eq(buf_str(&out), str_of(t[i].out)));
	}
}

static void
does_not_fit(void **state)
{
	char storage[8];
	struct buf out = BUF_ON(storage);
	struct address a;

	(void)state;
	assert_int_equal(
	    address_parse(STR("alice@crepes.fr"), false, &a), ADDRESS_OK);
	address_put(&out, a);
	assert_true(out.full);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_and_put),
		cmocka_unit_test(canonical_is_stable),
		cmocka_unit_test(every_cut),
		cmocka_unit_test(nul_is_refused),
		cmocka_unit_test(unquoted),
		cmocka_unit_test(does_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
