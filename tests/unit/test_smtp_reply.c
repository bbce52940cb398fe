/* SPDX-License-Identifier: ISC
 * Unit test of smtpd/reply and smtpd/received.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "smtpd/received.h"
#include "smtpd/reply.h"

static void
replies(void **state)
{
	static const struct {
		unsigned code;
		const char *status, *text, *out;
	} t[] = {
		{ 550, "5.1.1", "5.2.2 full", "550 5.2.2 full\r\n" },
		{ 550, "5.1.1", "4.2.2 full", "550 5.1.1 4.2.2 full\r\n" },
		{ 451, "4.3.0", "plain", "451 4.3.0 plain\r\n" },
		{ 451, "4.3.0", "4.3", "451 4.3.0 4.3\r\n" },
		{ 451, "4.3.0", "4.3.", "451 4.3.0 4.3.\r\n" },
		{ 451, "4.3.0", "4.3.1", "451 4.3.1\r\n" },
		{ 451, "4.3.0", "4.3.1x", "451 4.3.0 4.3.1x\r\n" },
		{ 451, "4.3.0", "4.3333.1 x", "451 4.3.0 4.3333.1 x\r\n" },
		{ 451, "4.3.0", "", "451 4.3.0 \r\n" },
		{ 554, "5.0.0", "a\r\n250 b\x7f\xff",
		    "554 5.0.0 a??250 b??\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(t); i++) {
		char storage[256];
		struct buf out = BUF_ON(storage);

		reply_relay(&out, t[i].code, t[i].status, str_of(t[i].text));
		assert_true(str_eq(buf_str(&out), str_of(t[i].out)));
	}
}

static void
reply_is_bounded(void **state)
{
	static char text[4000];
	char storage[REPLY_MAX];
	struct buf out = BUF_ON(storage);

	(void)state;
	memset(text, 'x', sizeof(text));
	reply_put(&out, 550, "5.1.1", (struct str){ text, sizeof(text) });
	assert_false(out.full);
	assert_true(buf_str(&out).n <= 512);
}

static void
received(void **state)
{
	char storage[RECEIVED_MAX], helo[256];
	struct buf out = BUF_ON(storage);
	struct received r = { .helo = STR("a b\n(c)\0\xff"),
		.peer_ip = STR("192.0.2.1"),
		.me = STR("me.example"),
		.sid = STR("s1"),
		.esmtp = true,
		.now = 0 };

	(void)state;
	received_put(&out, &r);
	assert_true(
	    str_eq(buf_str(&out), STR("Received: from a?b??c??? ([192.0.2.1])\n"
				      "\tby me.example with ESMTP id s1;\n"
				      "\tThu, 1 Jan 1970 00:00:00 +0000\n")));
	memset(helo, 'h', sizeof(helo));
	r.helo = r.me = (struct str){ helo, 255 };
	buf_reset(&out);
	received_put(&out, &r);
	assert_false(out.full);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies),
		cmocka_unit_test(reply_is_bounded),
		cmocka_unit_test(received),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
