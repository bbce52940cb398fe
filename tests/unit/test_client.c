/* SPDX-License-Identifier: ISC
 * Tests of send/client: dialogues as tables of what the server says and what
 * the client answers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "send/client.h"

static struct client c;
static char out_bytes[CLIENT_OUT];
static struct buf out = { .p = out_bytes, .cap = sizeof(out_bytes) };

/* Gives one reply (all its lines) to the client. */
static enum client_action
hear(const char *text)
{
	static struct reply r;
	struct str in = str_of(text);

	buf_reset(&out);
	reply_begin(&r);
	for (;;) {
		size_t used;
		enum reply_status s = reply_feed(&r, in, &used);

		in = str_skip(in, used);
		assert_true(s == REPLY_LINE || s == REPLY_DONE);
		client_line(&c, &r);
		if (s == REPLY_DONE)
			break;
	}
	assert_int_equal(in.n, 0);
	return client_reply(&c, &r, &out);
}

static void
said(const char *expected)
{
	if (!str_eq(buf_str(&out), str_of(expected)))
		fail_msg("said '%.*s', not '%s'", (int)out.n, out.p, expected);
}

static void
greet(const char *ehlo)
{
	client_init(&c, STR("mx"), STR("192.0.2.1"), STR("me.example"), false);
	assert_int_equal(hear("220 hi\r\n"), CLIENT_WAIT);
	said("EHLO me.example\r\n");
	assert_int_equal(hear(ehlo), CLIENT_READY);
}

static enum client_action
begin(size_t count)
{
	static const char *const to[] = { "a@b", "c@b", "d@b" };
	const struct client_job job = {
		.sender = STR("s@x"), .wire_size = 1000, .eight_bit = true
	};

	for (size_t i = 0; i < count; i++)
		c.recipients[i].address = str_of(to[i % 3]);
	buf_reset(&out);
	return client_start(&c, &job, count, &out);
}

static void
verdict(size_t i, enum verdict v, const char *text)
{
	assert_true(c.recipients[i].decided);
	assert_int_equal(c.recipients[i].verdict, v);
	if (!str_eq(c.recipients[i].text, str_of(text)))
		fail_msg("'%.*s', not '%s'", (int)c.recipients[i].text.n,
		    c.recipients[i].text.p, text);
}

static const char full[] = "250-peer\r\n250-pipelining\r\n250-SIZE 5000\r\n"
			   "250-8bitmime\r\n250 HELP\r\n";

static void
pipelined(void **state)
{
	(void)state;
	greet(full);
	assert_int_equal(c.peer_size, 5000);
	assert_int_equal(begin(2), CLIENT_WAIT);
	said("MAIL FROM:<s@x> SIZE=1000 BODY=8BITMIME\r\n"
	     "RCPT TO:<a@b>\r\nRCPT TO:<c@b>\r\nDATA\r\n");
	assert_int_equal(hear("250 ok\r\n"), CLIENT_WAIT);
	assert_int_equal(hear("250 ok\r\n"), CLIENT_WAIT);
	assert_int_equal(hear("550 5.1.1 no\r\n"), CLIENT_WAIT);
	assert_int_equal(hear("354 go\r\n"), CLIENT_BODY);
	assert_int_equal(client_timeout(&c), 600);
	assert_int_equal(hear("250 queued\r\n"), CLIENT_READY);
	verdict(0, VERDICT_OK, "2.0.0 mx (192.0.2.1) said: 250 queued");
	verdict(1, VERDICT_FAIL, "5.1.1 mx (192.0.2.1) said: 550 5.1.1 no");
	assert_int_equal(begin(1), CLIENT_WAIT); /* no RSET is needed */
	said("MAIL FROM:<s@x> SIZE=1000 BODY=8BITMIME\r\n"
	     "RCPT TO:<a@b>\r\nDATA\r\n");
}

static void
step_by_step(void **state)
{
	(void)state;
	greet("250 peer\r\n");
	assert_int_equal(begin(2), CLIENT_WAIT);
	said("MAIL FROM:<s@x>\r\n");
	assert_int_equal(hear("250 ok\r\n"), CLIENT_WAIT);
	said("RCPT TO:<a@b>\r\n");
	assert_int_equal(hear("450 later\r\n"), CLIENT_WAIT);
	said("RCPT TO:<c@b>\r\n");
	assert_int_equal(hear("550 no\r\n"), CLIENT_READY);
	said("");
	verdict(0, VERDICT_DEFER, "4.0.0 mx (192.0.2.1) said: 450 later");
	verdict(1, VERDICT_FAIL, "5.0.0 mx (192.0.2.1) said: 550 no");
	assert_int_equal(begin(1), CLIENT_WAIT);
	said("RSET\r\n");
	assert_int_equal(hear("250 ok\r\n"), CLIENT_WAIT);
	said("MAIL FROM:<s@x>\r\n");
	assert_int_equal(hear("552 too big\r\n"), CLIENT_READY);
	verdict(0, VERDICT_FAIL, "5.0.0 mx (192.0.2.1) said: 552 too big");
}

/* The first extension list does not survive a refused EHLO. */
static void
helo(void **state)
{
	(void)state;
	client_init(&c, STR("mx"), STR("192.0.2.1"), STR("me.example"), false);
	hear("220-hi\r\n220 there\r\n");
	assert_int_equal(hear("502 no\r\n"), CLIENT_WAIT);
	said("HELO me.example\r\n");
	assert_int_equal(hear("250-x\r\n250 PIPELINING\r\n"), CLIENT_READY);
	assert_false(client_has(&c, CLIENT_PIPELINING));
}

static const struct {
	const char *first, *second; /* replies; NULL: the connection is lost */
	enum verdict verdict;
	const char *text;
} hosts[] = {
	{ "554 no\r\n", "", VERDICT_FAIL, "5.0.0 mx (192.0.2.1) said: 554 no" },
	{ "421 4.3.2 busy\r\n", "", VERDICT_DEFER,
	    "4.3.2 mx (192.0.2.1) said: 421 4.3.2 busy" },
	{ "250 hi\r\n", "", VERDICT_DEFER,
	    "4.4.2 mx (192.0.2.1) gave a reply out of place before its "
	    "greeting" },
	{ NULL, "", VERDICT_DEFER,
	    "4.4.2 mx (192.0.2.1) hung up before its greeting" },
	{ "220 hi\r\n", NULL, VERDICT_DEFER,
	    "4.4.2 mx (192.0.2.1) hung up at EHLO" },
	{ "220 hi\r\n", "450 not now\r\n", VERDICT_DEFER,
	    "4.0.0 mx (192.0.2.1) said: 450 not now" },
	{ "220 hi\r\n", "354 go\r\n", VERDICT_DEFER,
	    "4.4.2 mx (192.0.2.1) gave a reply out of place at EHLO" },
};

static void
host_failures(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(hosts); i++) {
		enum client_action a;

		client_init(&c, STR("mx"), STR("192.0.2.1"), STR("me"), false);
		a = hosts[i].first == NULL ? client_lost(&c, STR("hung up"))
					   : hear(hosts[i].first);
		if (a == CLIENT_WAIT)
			a = hosts[i].second == NULL
				? client_lost(&c, STR("hung up"))
				: hear(hosts[i].second);
		assert_int_equal(a, CLIENT_CLOSE);
		assert_true(c.failed);
		assert_int_equal(c.failure, hosts[i].verdict);
		assert_true(str_eq(c.failure_text, str_of(hosts[i].text)));
	}
}

/* At every stage: 4xx, 5xx, 421, 3xx, 2xx and a lost connection.  Whatever
 * comes, each recipient is decided when the client says READY or CLOSE. */
static const char *const any[] = { "250 ok\r\n", "354 go\r\n", "450 a\r\n",
	"550 b\r\n", "552 c\r\n", "421 d\r\n", "220 e\r\n", "399 f\r\n", NULL };

static void
check_end(enum client_action a, unsigned jobs)
{
	size_t ok = 0;

	assert_true(a == CLIENT_READY || a == CLIENT_CLOSE);
	if (c.stale) {
		assert_true(jobs > 0 && a == CLIENT_CLOSE);
		return;
	}
	for (size_t i = 0; i < c.count; i++) {
		assert_true(c.recipients[i].decided);
		assert_true(c.recipients[i].text.n > 5);
		ok += c.recipients[i].verdict == VERDICT_OK;
	}
	assert_true(ok <= c.accepted);
}

/* The n-th path through all replies of a dialogue with two recipients. */
static void
walk(const char *ehlo, unsigned n, unsigned jobs)
{
	greet(ehlo);
	c.jobs = jobs;
	enum client_action a = begin(2);
	bool body = false;

	for (unsigned i = 0; i < 8; i++, n /= N_ELEMENTS(any)) {
		const char *reply = any[n % N_ELEMENTS(any)];

		if (a == CLIENT_READY || a == CLIENT_CLOSE)
			break;
		body |= a == CLIENT_BODY;
		if (a == CLIENT_BODY)
			assert_true(c.accepted > 0);
		a = reply == NULL ? client_lost(&c, STR("hung up"))
				  : hear(reply);
		assert_false(out.full);
	}
	check_end(a, jobs);
	for (size_t i = 0; i < c.count && !body; i++)
		assert_true(c.stale || c.recipients[i].verdict != VERDICT_OK);
}

static void
every_path(void **state)
{
	(void)state;
	unsigned paths = 1;

	for (int i = 0; i < 6; i++)
		paths *= N_ELEMENTS(any);
	for (unsigned n = 0; n < paths; n += 7) {
		walk(full, n, n % 2);
		walk("250 peer\r\n", n, n % 2);
	}
}

static void
body_cut(void **state)
{
	(void)state;
	for (int refused = 0; refused < 2; refused++) {
		greet("250 peer\r\n");
		begin(1);
		hear("250 ok\r\n");
		hear("250 ok\r\n");
		assert_int_equal(hear("354 go\r\n"), CLIENT_BODY);
		client_body_failed(&c);
		assert_int_equal(
		    hear(refused ? "552 5.3.4 big\r\n" : "250 ok\r\n"),
		    CLIENT_CLOSE);
		verdict(0, refused ? VERDICT_FAIL : VERDICT_DEFER,
		    refused ? "5.3.4 mx (192.0.2.1) said: 552 5.3.4 big"
			    : "4.4.2 mx (192.0.2.1) stopped reading while the "
			      "message was being sent");
	}
}

static void
unsent(void **state)
{
	(void)state;
	struct client_job job = { .wire_size = 6000 };

	greet(full);
	buf_reset(&out);
	assert_int_equal(client_start(&c, &job, 1, &out), CLIENT_READY);
	verdict(0, VERDICT_FAIL,
	    "5.3.4 mx (192.0.2.1) takes messages of at most 5000 bytes; this "
	    "one has 6000");
	job = (struct client_job){ .wire_size = 10, .dirty = true };
	assert_int_equal(client_start(&c, &job, 1, &out), CLIENT_READY);
	assert_int_equal(c.recipients[0].verdict, VERDICT_FAIL);
	said("");
	assert_int_equal(c.phase, CLIENT_AT_IDLE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pipelined),
		cmocka_unit_test(step_by_step),
		cmocka_unit_test(helo),
		cmocka_unit_test(host_failures),
		cmocka_unit_test(every_path),
		cmocka_unit_test(body_cut),
		cmocka_unit_test(unsent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
