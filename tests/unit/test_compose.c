/* SPDX-License-Identifier: ISC
 * Unit test of inject/field and compose.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "inject/compose.h"

#define DATE "Sat, 21 Nov 2026 23:47:35 +0000\n"
#define ID   "<1795304855000000.7.postern@id.example>\n"
#define FROM "From: Al Ice <alice@here.example>\n"
#define TAIL "Message-ID: " ID
#define TO   "To: undisclosed-recipients:;\n"

static const struct compose_request base = {
	.defaults = { .host = { .p = "here.example", .n = 12 } },
	.id_host = { .p = "id.example", .n = 10 },
	.from = { .p = "alice@here.example", .n = 18 },
	.from_name = { .p = "Al Ice", .n = 6 },
	.now_us = 1795304855000000,
	.pid = 7,
	.recipients = true,
};

static char got_room[2048], out_room[4096];
static struct buf got, out;
static struct compose c;

static void
add(void *arg, struct str s)
{
	(void)arg;
	buf_put(&got, s);
	buf_putc(&got, '|');
}

static bool
run(const char *in, const struct compose_request *r, struct compose_mime mime)
{
	struct compose_survey survey;
	struct str header;
	size_t body_at;

	got = BUF_ON(got_room);
	out = BUF_ON(out_room);
	assert_int_equal(
	    header_find(str_of(in), true, &header, &body_at), HEADER_FOUND);
	compose_survey(header, &survey);
	c = (struct compose){ .request = r,
		.survey = &survey,
		.mime = mime,
		.out = &out,
		.each = add };
	return compose_run(&c, header);
}

static const struct {
	const char *in, *recipients, *out;
} cases[] = {
	{ "", "", "Date: " DATE FROM TAIL TO "\n" },
	{ "To: bob\nSubject: x\n\nbody\n", "bob@here.example|",
	    "To: bob@here.example\nSubject: x\nDate: " DATE FROM TAIL "\n" },
	/* all there: nothing added, nothing changed */
	{ "Date: d\nFrom: a@x.y\nto: b@x.y\nMESSAGE-ID: <1@x>\n\n", "b@x.y|",
	    "Date: d\nFrom: a@x.y\nto: b@x.y\nMESSAGE-ID: <1@x>\n\n" },
	/* Bcc and others go, empty ones too */
	{ "From: a@x.y\nDate: d\nMessage-Id: <1>\nBcc: c@x.y,\n d@x.y\nCc:\n"
	  "Return-Path: <r@x.y>\nContent-Length: 5\nApparently-To: e@x.y\n"
	  "Reply-To: \nTo: b@x.y\n\n",
	    "c@x.y|d@x.y|e@x.y|b@x.y|",
	    "From: a@x.y\nDate: d\nMessage-Id: <1>\nTo: b@x.y\n\n" },
	/* several authors need a sender */
	{ "From: a@x.y, b@x.y\nDate: d\nMessage-ID: <1>\nCc: c@x.y\n\n",
	    "c@x.y|",
	    "From: a@x.y, b@x.y\nDate: d\nMessage-ID: <1>\nCc: c@x.y\n"
	    "Sender: Al Ice <alice@here.example>\n\n" },
	{ "From:\nDate: \nTo: b@x.y\n\n", "b@x.y|",
	    "To: b@x.y\nDate: " DATE FROM TAIL "\n" },
	/* only the newest set of Resent- fields counts */
	{ "Resent-To: n@x.y\nFrom: a@x.y\nDate: d\nMessage-ID: <1>\n"
	  "To: b@x.y\nResent-To: old@x.y\nResent-Bcc: old2@x.y\n\n",
	    "n@x.y|",
	    "Resent-Date: " DATE "Resent-" FROM "Resent-" TAIL
	    "Resent-To: n@x.y\nFrom: a@x.y\nDate: d\nMessage-ID: <1>\n"
	    "To: b@x.y\nResent-To: old@x.y\n\n" },
	{ "Resent-From: r@x.y\nResent-To: n@x.y\nReceived: x\n"
	  "Resent-Cc: old@x.y\nFrom: a@x.y\nDate: d\nMessage-ID: <1>\n"
	  "To: b@x.y\n\n",
	    "n@x.y|",
	    "Resent-Date: " DATE "Resent-" TAIL
	    "Resent-From: r@x.y\nResent-To: n@x.y\nReceived: x\n"
	    "Resent-Cc: old@x.y\nFrom: a@x.y\nDate: d\nMessage-ID: <1>\n"
	    "To: b@x.y\n\n" },
	/* a header of old, and broken ones */
	{ "From alice Sat Nov 21\nSubject : x\nTo\t: b@x.y\n\n", "b@x.y|",
	    "Subject: x\nTo: b@x.y\nDate: " DATE FROM TAIL "\n" },
	{ "To: b@x.y\n \n\t\nSubject: a\n b\n\n", "b@x.y|",
	    "To: b@x.y\nSubject: a\n b\nDate: " DATE FROM TAIL "\n" },
	{ "To: b@x.y\nno field at all\nSubject: body\n", "b@x.y|",
	    "To: b@x.y\nDate: " DATE FROM TAIL "\n" },
	{ "hello\n", "", "Date: " DATE FROM TAIL TO "\n" },
	{ " hello: x\n", "", "Date: " DATE FROM TAIL TO "\n" },
	/* 8-bit text */
	{ "To: b@x.y\nSubject: gr\xc3\xbc\xc3\x9f\nX-A: \xfc\n\n", "b@x.y|",
	    "To: b@x.y\nSubject: =?utf-8?Q?gr=C3=BC=C3=9F?=\n"
	    "X-A: =?unknown-8bit?Q?=FC?=\nDate: " DATE FROM TAIL "\n" },
	/* a list that is none, and that nobody needs */
	{ "To: b@x.y\nFrom: a b c@x.y\n\n", "b@x.y|",
	    "To: b@x.y\nFrom: a b c@x.y\nDate: " DATE TAIL "\n" },
};

static void
test_headers(void **state)
{
	const struct compose_mime none = { .add = false };
	(void)state;

	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		if (!run(cases[i].in, &base, none))
			fail_msg("%s: %s", cases[i].in, c.problem);
		assert_string_equal(buf_cstr(&got), cases[i].recipients);
		assert_string_equal(buf_cstr(&out), cases[i].out);
	}
}

static void
test_habits(void **state)
{
	const struct compose_mime mime = { .add = true, .charset = "utf-8" };
	struct compose_request r = base;
	(void)state;

	r.drop_from = r.drop_message_id = r.name_in_comment = true;
	r.recipients = false;
	assert_true(
	    run("From: x\nMessage-ID: <1>\nTo: b c\nDate: d\n\n", &r, mime));
	assert_string_equal(buf_cstr(&got), "");
	assert_string_equal(buf_cstr(&out),
	    "To: b c\nDate: d\nFrom: alice@here.example (Al Ice)\n" TAIL
	    "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
	    "Content-Transfer-Encoding: quoted-printable\n\n");
	r.from_name = STR("Al\nBcc: x@y");
	assert_true(run("To: b\nDate: d\n\n", &r, mime));
	assert_non_null(strstr(
	    buf_cstr(&out), "\nFrom: \"Al Bcc: x@y\" <alice@here.example>\n"));
	r.from_name = STR("");
	assert_true(run("To: b\nDate: d\n\n", &r, mime));
	assert_non_null(strstr(buf_cstr(&out), "\nFrom: alice@here.example\n"));
}

static void
test_refusals(void **state)
{
	const struct compose_mime none = { .add = false };
	(void)state;

	assert_false(run("To: b c\n\n", &base, none));
	assert_true(str_eq(c.field, STR("To")));
	assert_true(str_eq(c.at, STR("c")));
	assert_non_null(c.problem);
	assert_false(run("Bcc: \"b\n\n", &base, none));
}

static void
test_long_lines(void **state)
{
	static char in[4096];
	const struct compose_mime none = { .add = false };
	(void)state;

	strncpy(in, "X: ", sizeof(in) - 1);
	for (size_t i = 3; i < 2500; i++)
		in[i] = i % 100 == 0 ? ' ' : 'x';
	in[2500] = '\n';
	assert_true(run(in, &base, none));
	struct str rest = buf_str(&out), line;
	size_t bytes = 0;

	while (str_line(&rest, &line) && bytes < 2500) {
		assert_true(line.n <= 998);
		bytes += line.n;
	}
	assert_int_equal(bytes, 2500);
	memset(in + 3, 'x', 2497); /* nowhere to fold */
	assert_true(run(in, &base, none));
	assert_true(str_starts(buf_str(&out), str_of(in)));
}

/* However the message is cut, the header's end is the same. */
static void
test_header_end(void **state)
{
	static const char *const ends[] = {
		"A: b\n c\n\nbody",
		"A: b\nbody without a colon\n",
		"From x\nA: b\n\n",
		"\nbody",
		"A : b\n\n",
		"A",
	};
	(void)state;

	for (size_t i = 0; i < N_ELEMENTS(ends); i++) {
		struct str all = str_of(ends[i]), whole, part;
		size_t at, part_at;

		(void)header_find(all, true, &whole, &at);
		for (size_t n = 0; n < all.n; n++) {
			if (header_find(str_head(all, n), false, &part,
				&part_at) == HEADER_MORE)
				continue;
			assert_int_equal(part_at, at);
			assert_true(str_eq(part, whole));
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_habits),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_header_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
