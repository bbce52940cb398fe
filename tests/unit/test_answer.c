/* SPDX-License-Identifier: ISC
 * Tests of dns/answer: messages of every type, cut at every byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/packet.h"
#include "dns/answer.h"

static char record_bytes[PACKET_MAX];
static struct buf records = { .p = record_bytes, .cap = sizeof(record_bytes) };

#define HEAD(rcode, answers)                                                   \
	"\x12\x34\x81" rcode "\0\1\0" answers "\0\0\0\0"                       \
	"\1a\7example\0\0\1\0\1"
/* owner: a pointer to the question's name */
#define RR(type, ttl, length, data)                                            \
	"\xc0\x0c\0" type "\0\1\0\0\0" ttl "\0" length data

/* STR in a static table */
#define BYTES(literal)                                                         \
	{                                                                      \
		.p = (literal), .n = sizeof(literal) - 1                       \
	}

static const struct {
	const char *name;
	enum answer_type type;
	struct str message;
	enum answer_status status;
	uint32_t count, ttl;
	struct str records;
} cases[] = {
	{ "A", ANSWER_A,
	    BYTES(HEAD("\x80", "\2") RR("\1", "\x3c", "\4", "\xc0\0\2\1")
		    RR("\1", "\x0a", "\4", "\xc0\0\2\2")),
	    ANSWER_OK, 2, 10, BYTES("\0\0\0\4\xc0\0\2\1\0\0\0\4\xc0\0\2\2") },
	{ "A of a wrong length", ANSWER_A,
	    BYTES(HEAD("\x80", "\1") RR("\1", "\x3c", "\3", "\xc0\0\2")),
	    ANSWER_OK, 0, 0, BYTES("") },
	{ "CNAME, then A", ANSWER_A,
	    BYTES(HEAD("\x80", "\2") RR("\5", "\x3c", "\4", "\1b\xc0\x0e")
		    RR("\1", "\x3c", "\4", "\xc0\0\2\1")),
	    ANSWER_OK, 1, 60, BYTES("\0\0\0\4\xc0\0\2\1") },
	{ "CNAME alone", ANSWER_A,
	    BYTES(HEAD("\x80", "\1") RR("\5", "\x3c", "\4", "\1b\xc0\x0e")),
	    ANSWER_NO_RECORD, 0, 0, BYTES("") },
	{ "no data", ANSWER_A, BYTES(HEAD("\x80", "\0")), ANSWER_NO_RECORD, 0,
	    0, BYTES("") },
	{ "no such name", ANSWER_A, BYTES(HEAD("\x83", "\0")), ANSWER_NO_NAME,
	    0, 0, BYTES("") },
	{ "SERVFAIL", ANSWER_A, BYTES(HEAD("\x82", "\0")), ANSWER_FAILED, 0, 0,
	    BYTES("") },
	{ "MX, compressed, upper case", ANSWER_MX,
	    BYTES(HEAD("\x80", "\1")
		    RR("\x0f", "\x3c", "\7", "\0\x0a\2MX\xc0\x0c")),
	    ANSWER_OK, 1, 60, BYTES("\0\0\0\x0a\0\0\0\x0cmx.a.example") },
	{ "null MX", ANSWER_MX,
	    BYTES(HEAD("\x80", "\1") RR("\x0f", "\x3c", "\3", "\0\0\0")),
	    ANSWER_OK, 1, 60, BYTES("\0\0\0\0\0\0\0\0") },
	{ "MX that is no host name", ANSWER_MX,
	    BYTES(HEAD("\x80", "\1")
		    RR("\x0f", "\x3c", "\7", "\0\x0a\2a \xc0\x0c")),
	    ANSWER_OK, 0, 0, BYTES("") },
	{ "MX with a dot in a label", ANSWER_MX,
	    BYTES(HEAD("\x80", "\1")
		    RR("\x0f", "\x3c", "\7", "\0\x0a\2.;\xc0\x0c")),
	    ANSWER_OK, 0, 0, BYTES("") },
	{ "MX with bytes left over", ANSWER_MX,
	    BYTES(HEAD("\x80", "\1")
		    RR("\x0f", "\x3c", "\x08", "\0\x0a\2mx\xc0\x0c!")),
	    ANSWER_OK, 0, 0, BYTES("") },
	{ "a name that points at itself", ANSWER_MX,
	    BYTES(
		HEAD("\x80", "\1") RR("\x0f", "\x3c", "\4", "\0\x0a\xc0\x29")),
	    ANSWER_OK, 0, 0, BYTES("") },
	{ "a name that points forward", ANSWER_MX,
	    BYTES(HEAD("\x80", "\1")
		    RR("\x0f", "\x3c", "\5", "\0\x0a\xc0\x2b\0")),
	    ANSWER_OK, 0, 0, BYTES("") },
	{ "PTR", ANSWER_PTR,
	    BYTES(HEAD("\x80", "\1") RR("\x0c", "\x3c", "\5", "\2mx\xc0\x0c")),
	    ANSWER_OK, 1, 60, BYTES("\0\0\0\x0cmx.a.example") },
	{ "TXT", ANSWER_TXT,
	    BYTES(HEAD("\x80", "\1") RR("\x10", "\x3c", "\6", "\1a\3b\0c")),
	    ANSWER_OK, 1, 60, BYTES("\0\0\0\4ab\0c") },
	{ "TXT cut short", ANSWER_TXT,
	    BYTES(HEAD("\x80", "\1") RR("\x10", "\x3c", "\3", "\1a\3")),
	    ANSWER_OK, 0, 0, BYTES("") },
	{ "TLSA", ANSWER_TLSA,
	    BYTES(HEAD("\x80", "\1") RR("\x34", "\x3c", "\4", "\3\1\1x")),
	    ANSWER_OK, 1, 60, BYTES("\0\0\0\4\3\1\1x") },
	{ "another type", ANSWER_AAAA,
	    BYTES(HEAD("\x80", "\1") RR("\1", "\x3c", "\4", "\xc0\0\2\1")),
	    ANSWER_NO_RECORD, 0, 0, BYTES("") },
};

static void
every_case(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		struct answer a =
		    answer_parse(cases[i].message, cases[i].type, &records);

		if (a.status != cases[i].status || a.count != cases[i].count ||
		    a.ttl != cases[i].ttl ||
		    !str_eq(buf_str(&records), cases[i].records))
			fail_msg("%s: status %d, %u records, %zu bytes",
			    cases[i].name, (int)a.status, a.count, records.n);
	}
}

/* A message that ends early is FAILED, and read no further than it goes (the
 * copy has the exact size: ASan watches its end). */
static void
every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(cases); i++)
		for (size_t n = 0; n < cases[i].message.n; n++) {
			char *copy = malloc(n == 0 ? 1 : n);

			assert_non_null(copy);
			memcpy(copy, cases[i].message.p, n);
			struct answer a = answer_parse(
			    (struct str){ copy, n }, cases[i].type, &records);
			if (a.status != ANSWER_FAILED &&
			    cases[i].status != ANSWER_NO_NAME)
				fail_msg("%s cut to %zu: %d", cases[i].name, n,
				    (int)a.status);
			free(copy);
		}
}

static void
many_records(void **state)
{
	(void)state;
	static char bytes[8192];
	struct buf message = BUF_ON(bytes);

	buf_put(&message, STR(HEAD("\x80", "\xff")));
	for (int i = 0; i < 255; i++)
		buf_put(&message, STR(RR("\1", "\x3c", "\4", "\xc0\0\2\1")));
	assert_false(message.full);
	struct answer a = answer_parse(buf_str(&message), ANSWER_A, &records);
	assert_int_equal(a.status, ANSWER_OK);
	assert_int_equal(a.count, ANSWER_RECORDS);
	assert_int_equal(records.n, ANSWER_RECORDS * 8);

	char few[20];
	struct buf small = BUF_ON(few);
	a = answer_parse(buf_str(&message), ANSWER_A, &small);
	assert_int_equal(a.count, 2);
	assert_int_equal(small.n, 16);
	assert_false(small.full);
}

/* Of more MXs than are kept, the most preferred, wherever they stand. */
static void
many_mxs(void **state)
{
	(void)state;
	static char bytes[8192];
	struct buf message = BUF_ON(bytes);

	buf_put(&message, STR(HEAD("\x80", "\xff")));
	for (int i = 0; i < 255; i++) {
		buf_put(&message, STR("\xc0\x0c\0\x0f\0\1\0\0\0\x3c\0\6\0"));
		buf_putc(&message, (char)(i * 7 % 255)); /* each once */
		buf_put(&message, STR("\1m\xc0\x0c"));
	}
	assert_false(message.full);
	struct answer a = answer_parse(buf_str(&message), ANSWER_MX, &records);
	assert_int_equal(a.count, ANSWER_RECORDS);
	struct packet p = { .rest = buf_str(&records) };
	uint64_t seen = 0;
	for (int i = 0; i < ANSWER_RECORDS; i++) {
		uint32_t preference = packet_get_u32(&p);

		assert_true(preference < 64);
		seen |= (uint64_t)1 << preference;
		assert_true(str_eq(
		    packet_get_str(&p, ANSWER_NAME), STR("m.a.example")));
	}
	assert_true(packet_end(&p) && seen == UINT64_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_case),
		cmocka_unit_test(every_cut),
		cmocka_unit_test(many_records),
		cmocka_unit_test(many_mxs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
