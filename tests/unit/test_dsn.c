/* SPDX-License-Identifier: ISC
 * dsn: the report word for word, and the pieces that read others' bytes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>
#include "queue/dsn.h"

static const char golden[] =
    "Date: Tue, 13 May 2014 17:00:00 +0000\n"
    "From: Mail system <MAILER-DAEMON@crepes.fr>\n"
    "To: <alice@crepes.fr>\n"
    "Subject: Undelivered mail returned to sender\n"
    "Message-ID: <1400000400000000.0000000000001234.bounce@mx.crepes.fr>\n"
    "Auto-Submitted: auto-replied\n"
    "MIME-Version: 1.0\n"
    "Content-Type: multipart/report; report-type=delivery-status;\n"
    "\tboundary=\"postern-0000000000001234-1400000400000000\"\n"
    "\n"
    "This is a report in MIME format (RFC 3464).\n"
    "\n"
    "--postern-0000000000001234-1400000400000000\n"
    "Content-Type: text/plain; charset=us-ascii\n"
    "\n"
    "This is the mail system at mx.crepes.fr.\n"
    "\n"
    "Your message could not be delivered to the recipients below.  It will "
    "not be\n"
    "tried again.  Below each address is the reason that was given.\n"
    "\n"
    "<bob@hamburger.edu>:\n"
    "    5.1.1 mx.hamburger.edu[192.0.2.1] said: 550 5.1.1 There is no such\n"
    "    user here at all\n"
    "\n"
    "The header of the message is attached.\n"
    "\n"
    "--postern-0000000000001234-1400000400000000\n"
    "Content-Type: message/delivery-status\n"
    "\n"
    "Reporting-MTA: dns; mx.crepes.fr\n"
    "X-Postern-Queue-ID: 0000000000001234\n"
    "Arrival-Date: Tue, 13 May 2014 16:53:20 +0000\n"
    "\n"
    "Final-Recipient: rfc822; bob@hamburger.edu\n"
    "Action: failed\n"
    "Status: 5.1.1\n"
    "Diagnostic-Code: smtp; 5.1.1 mx.hamburger.edu[192.0.2.1] said: 550 5.1.1\n"
    "    There is no such user here at all\n"
    "Last-Attempt-Date: Tue, 13 May 2014 17:00:00 +0000\n"
    "\n"
    "--postern-0000000000001234-1400000400000000\n"
    "Content-Type: text/rfc822-headers\n"
    "\n"
    "From: <alice@crepes.fr>\n"
    "Subject: dinner\n"
    "\n"
    "--postern-0000000000001234-1400000400000000--\n";

static const struct dsn_rcpt bob = {
	.address = { "bob@hamburger.edu", 17 },
	.text = { "5.1.1 mx.hamburger.edu[192.0.2.1] said: 550 5.1.1 There is "
		  "no such user here at all",
	    83 },
};

static struct dsn
example(void)
{
	return (struct dsn){
		.me = STR("mx.crepes.fr"),
		.from = STR("MAILER-DAEMON@crepes.fr"),
		.to = STR("alice@crepes.fr"),
		.id = 0x1234,
		.birth = 1400000000,
		.now_us = 1400000400000000,
		.rcpts = &bob,
		.rcpt_count = 1,
		.head =
		    STR("From: <alice@crepes.fr>\nSubject: dinner\n\nbody\n"),
	};
}

/* of the original's header, and of its last line */
enum {
	SUBJECT = sizeof("Subject: dinner\n") - 1,
	HEADER = SUBJECT + sizeof("From: <alice@crepes.fr>\n") - 1
};

static void
word_for_word(void **state)
{
	static char space[16384];
	struct buf out = BUF_ON(space);
	struct dsn d = example();
	(void)state;
	dsn_put(&out, &d);
	assert_false(out.full);
	assert_string_equal(buf_cstr(&out), golden);
}

static void
full_at_every_size(void **state)
{
	static char space[16384];
	struct dsn d = example();
	(void)state;
	size_t fits = 0;

	for (size_t cap = 0; cap < sizeof(golden) - 1; cap++) {
		struct buf out = { .p = space, .cap = cap };
		dsn_put(&out, &d);
		assert_true(out.n <= cap);
		if (!out.full && fits == 0)
			fits = cap;
		assert_true(out.full == (fits == 0));
	}
	/* all but the header, and two texts down to their first ten bytes */
	assert_int_equal(
	    fits, sizeof(golden) - 1 - HEADER - 2 * (bob.text.n - 10) - 2 * 4);
}

static void
the_header_takes_what_room_is_left(void **state)
{
	static char space[16384];
	static const char from[] = "\n\nFrom: <alice@crepes.fr>\n\n--";
	struct dsn d = example();
	(void)state;
	for (size_t less = 0; less <= HEADER; less++) {
		struct buf out = { .p = space,
			.cap = sizeof(golden) - 1 - less };
		dsn_put(&out, &d);
		assert_false(out.full);
		struct str s = buf_str(&out);
		size_t tail = sizeof("\n--postern-0000000000001234-"
				     "1400000400000000--\n") -
			      1;
		assert_memory_equal(
		    s.p + s.n - tail, golden + sizeof(golden) - 1 - tail, tail);
		assert_int_equal(
		    memmem(s.p, s.n, "Subject: dinner", 15) != NULL, less == 0);
		assert_int_equal(
		    memmem(s.p, s.n, from, sizeof(from) - 1) != NULL,
		    less > 0 && less <= SUBJECT);
	}
}

static void
less_of_a_text(void **state)
{
	static char space[16384];
	struct buf out = { .p = space, .cap = sizeof(golden) - 1 - HEADER - 1 };
	struct dsn d = example();
	(void)state;
	dsn_put(&out, &d);
	assert_non_null(strstr(buf_cstr(&out),
	    "<bob@hamburger.edu>:\n    5.1.1 mx.h\n\nThe header"));
	assert_non_null(strstr(buf_cstr(&out),
	    "Status: 5.1.1\nDiagnostic-Code: smtp; 5.1.1 mx.h\nLast"));
}

static void
statuses(void **state)
{
	static const struct {
		struct str text, status;
	} cases[] = {
		{ { "5.1.1 no", 8 }, { "5.1.1", 5 } },
		{ { "4.4.7", 5 }, { "4.4.7", 5 } },
		{ { "5.123.999 x", 11 }, { "5.123.999", 9 } },
		{ { "5.1.1000 x", 10 }, { "5.0.0", 5 } },
		{ { "5..1 x", 6 }, { "5.0.0", 5 } },
		{ { "5.1. x", 6 }, { "5.0.0", 5 } },
		{ { "5.1.1x", 6 }, { "5.0.0", 5 } },
		{ { "2.0.0 fine", 10 }, { "5.0.0", 5 } },
		{ { "550 5.1.1 x", 11 }, { "5.0.0", 5 } },
		{ { "", 0 }, { "5.0.0", 5 } },
		{ { "5", 1 }, { "5.0.0", 5 } },
	};
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(cases); i++)
		assert_true(str_eq(dsn_status(cases[i].text), cases[i].status));
}

static void
headers(void **state)
{
	static const struct {
		struct str head;
		size_t n;
	} cases[] = {
		{ { "A: b\n\nbody\n", 11 }, 5 },
		{ { "A: b\nC: d\n\n", 11 }, 10 },
		{ { "A: b\nC: cut", 11 }, 5 },
		{ { "\nbody", 5 }, 0 },
		{ { "", 0 }, 0 },
		{ { "no end of line", 14 }, 0 },
	};
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(cases); i++)
		assert_int_equal(dsn_header(cases[i].head).n, cases[i].n);
}

static void
a_boundary_in_the_header_is_avoided(void **state)
{
	static char space[16384];
	struct buf out = BUF_ON(space);
	struct dsn d = example();
	(void)state;
	d.head = STR("--postern-0000000000001234-1400000400000000--\n"
		     "--postern-0000000000001234-1400000400000000=\n\n");
	dsn_put(&out, &d);
	assert_non_null(strstr(buf_cstr(&out),
	    "boundary=\"postern-0000000000001234-1400000400000000==\""));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(word_for_word),
		cmocka_unit_test(full_at_every_size),
		cmocka_unit_test(the_header_takes_what_room_is_left),
		cmocka_unit_test(less_of_a_text),
		cmocka_unit_test(statuses),
		cmocka_unit_test(headers),
		cmocka_unit_test(a_boundary_in_the_header_is_avoided),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
