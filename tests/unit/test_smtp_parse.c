/* SPDX-License-Identifier: ISC
 * Unit tests of smtpd's line, command, data, reply and received, the input cut
 * at every byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "smtpd/command.h"
#include "smtpd/data.h"
#include "smtpd/line.h"
#include "smtpd/received.h"
#include "smtpd/reply.h"

static struct str
range(struct str s, size_t from, size_t to)
{
	return str_head(str_skip(s, from), to - from);
}

/* ---- line ---- */

/* Writes what line_next says of `in` as text, the input coming in pieces of
 * `piece` bytes. */
static void
trace_lines(struct str in, size_t piece, size_t max, struct buf *out)
{
	struct line_reader r = { .discarding = false };
	size_t taken = 0, come = 0;

	for (;;) {
		struct str line;
		size_t used = 0;
		enum line_status status =
		    line_next(&r, range(in, taken, come), max, &line, &used);

		taken += used;
		assert_true(taken <= come);
		switch (status) {
		case LINE_OK:
			buf_putc(out, '[');
			buf_put(out, line);
			buf_putc(out, ']');
			break;
		case LINE_TOO_LONG:
			buf_puts(out, "(long)");
			break;
		case LINE_BARE_LF:
			buf_puts(out, "(lf)");
			break;
		case LINE_MORE:
			if (come == in.n)
				return;
			come = come + piece < in.n ? come + piece : in.n;
			break;
		}
	}
}

static void
lines(void **state)
{
	static const struct {
		const char *in, *out;
	} t[] = {
		{ "", "" },
		{ "a", "" },
		{ "a\r", "" },
		{ "a\r\n", "[a]" },
		{ "\r\n", "[]" },
		{ "a\r\nb\r\n", "[a][b]" },
		{ "123456\r\n", "[123456]" },
		{ "1234567\r\n", "(long)" },
		{ "12345678\r\n", "(long)" },
		{ "1234567890123456\r\nb\r\n", "(long)[b]" },
		{ "a\nb\r\n", "(lf)[b]" },
		{ "\n", "(lf)" },
		{ "1234567\n", "(lf)" },
		{ "12345678\n", "(lf)" },
		{ "123456789012\nb\r\n", "(lf)[b]" },
		{ "a\rb\r\n", "[a\rb]" },
		{ "a\r\r\n", "[a\r]" },
		{ "1234567\r\r\r\n", "(long)" },
		{ "1234567\r\r\r", "" },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(t); i++)
		for (size_t piece = 1; piece <= strlen(t[i].in) + 1; piece++) {
			char storage[256];
			struct buf out = BUF_ON(storage);

			trace_lines(str_of(t[i].in), piece, 8, &out);
			if (!str_eq(buf_str(&out), str_of(t[i].out)))
				fail_msg("line case %zu in pieces of %zu: "
					 "%.*s",
				    i, piece, (int)buf_str(&out).n,
				    buf_str(&out).p);
		}
}

/* ---- data ---- */

static const struct data_case {
	const char *in;
	const char *out; /* NULL: it does not matter */
	enum data_problem problem;
	const char *rest; /* behind the end; NULL: there is no end */
} data_cases[] = {
	{ ".\r\n", "", DATA_GOOD, "" },
	{ ".\r\nNOOP\r\n", "", DATA_GOOD, "NOOP\r\n" },
	{ "a\r\n.\r\n", "a\n", DATA_GOOD, "" },
	{ "a\r\n\r\nb\r\n.\r\n", "a\n\nb\n", DATA_GOOD, "" },
	{ "..\r\n.\r\n", ".\n", DATA_GOOD, "" },
	{ "...\r\n.\r\n", "..\n", DATA_GOOD, "" },
	{ ".a\r\n.\r\n", "a\n", DATA_GOOD, "" },
	{ ". \r\n.\r\n", " \n", DATA_GOOD, "" },
	{ "a.\r\n.\r\n", "a.\n", DATA_GOOD, "" },
	{ "\x01\xff\t\r\n.\r\n", "\x01\xff\t\n", DATA_GOOD, "" },
	{ "a\r\n.", NULL, DATA_GOOD, NULL },
	{ "a\r\n.\r", NULL, DATA_GOOD, NULL },
	{ "a\n.\n", NULL, DATA_BARE, NULL },
	{ "a\n.\r\n", NULL, DATA_BARE, NULL },
	{ "a\r.\r\n", NULL, DATA_BARE, NULL },
	{ "a\r\n.\n", NULL, DATA_BARE, NULL },
	{ "a\r\n.\rb", NULL, DATA_BARE, NULL },
	{ "a\r\n.\r\r\n", NULL, DATA_BARE, NULL },
	{ "a\r\n.\r\r\n.\r\nx", NULL, DATA_BARE, "x" },
	{ "a\nb\r\n.\r\nx", NULL, DATA_BARE, "x" },
	{ "a\rb\r\n.\r\nx", NULL, DATA_BARE, "x" },
	{ "\n.\r\n\r\n.\r\nx", NULL, DATA_BARE, "x" },
	{ "a\r\r\n.\r\nx", NULL, DATA_BARE, "x" },
	{ "\n\r\n.\r\nx", NULL, DATA_BARE, "x" },
};

/* Feeds in pieces, through an output buffer of `room` bytes. */
static bool
run_data(struct data *d, struct str in, size_t piece, size_t room,
    struct buf *all, size_t *used)
{
	char storage[64];
	size_t come = 0;

	*used = 0;
	for (;;) {
		struct buf out = BUF_ON(storage);
		size_t n;

		assert_true(room <= sizeof(storage));
		buf_grew(&out, sizeof(storage) - room);
		enum data_status status =
		    data_feed(d, range(in, *used, come), &out, &n);

		*used += n;
		assert_true(*used <= come);
		buf_put(all, str_skip(buf_str(&out), sizeof(storage) - room));
		if (status == DATA_END)
			return true;
		if (status == DATA_FULL) {
			assert_int_equal(buf_room(&out), 0);
			continue;
		}
		assert_int_equal(*used, come);
		if (come == in.n)
			return false;
		come = come + piece < in.n ? come + piece : in.n;
	}
}

static void
check_data(const struct data_case *c, size_t piece, size_t room)
{
	char storage[512];
	struct buf all = BUF_ON(storage);
	struct data d;
	size_t used;

	data_begin(&d, 0);
	bool end = run_data(&d, str_of(c->in), piece, room, &all, &used);

	assert_int_equal(end, c->rest != NULL);
	assert_int_equal(d.problem, c->problem);
	if (c->rest != NULL)
		assert_string_equal(c->in + used, c->rest);
	if (c->out != NULL)
		assert_true(str_eq(buf_str(&all), str_of(c->out)));
}

static void
data_in_pieces(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(data_cases); i++)
		for (size_t piece = 1; piece <= strlen(data_cases[i].in);
		     piece++)
			for (size_t room = 1; room < 5; room++)
				check_data(&data_cases[i], piece, room);
}

static void
data_nul(void **state)
{
	struct str in = STR("a\0b\r\n.\r\n");

	(void)state;
	for (size_t piece = 1; piece <= in.n; piece++) {
		char storage[64];
		struct buf all = BUF_ON(storage);
		struct data d;
		size_t used;

		data_begin(&d, 0);
		assert_true(run_data(&d, in, piece, 8, &all, &used));
		assert_int_equal(d.problem, DATA_NUL);
		assert_int_equal(used, in.n);
	}
}

static void
data_size(void **state)
{
	/* 3 + 2 and 1 + 2 bytes: the stuffed dot is not counted */
	struct str in = STR("abc\r\n..\r\n.\r\n");

	(void)state;
	for (uint64_t max = 1; max < 12; max++)
		for (size_t piece = 1; piece <= in.n; piece++) {
			char storage[64];
			struct buf all = BUF_ON(storage);
			struct data d;
			size_t used;

			data_begin(&d, max);
			assert_true(run_data(&d, in, piece, 8, &all, &used));
			assert_int_equal(
			    d.problem, max < 8 ? DATA_TOO_LARGE : DATA_GOOD);
		}
}

static void
data_wrong_bytes_count_over_size(void **state)
{
	char storage[64];
	struct buf all = BUF_ON(storage);
	struct data d;
	size_t used;

	(void)state;
	data_begin(&d, 2);
	assert_true(
	    run_data(&d, STR("abcdef\r\na\nb\r\n.\r\n"), 3, 8, &all, &used));
	assert_int_equal(d.problem, DATA_BARE);
}

static void
data_loop(void **state)
{
	static char text[8192], storage[8192];

	(void)state;
	for (int in_body = 0; in_body < 2; in_body++)
		for (int count = 100; count < 102; count++)
			for (size_t piece = 1; piece < 40; piece++) {
				struct buf in = BUF_ON(text);
				struct buf all = BUF_ON(storage);
				struct data d;
				size_t used;

				buf_puts(&in, "X-Received: no\r\nReceived\r\n");
				if (in_body)
					buf_puts(&in, "\r\n");
				for (int i = 0; i < count; i++)
					buf_puts(&in, "ReCeived: by a\r\n");
				buf_puts(&in, ".\r\n");
				assert_false(in.full);
				data_begin(&d, 0);
				assert_true(run_data(
				    &d, buf_str(&in), piece, 64, &all, &used));
				assert_int_equal(d.problem,
				    count > 100 && !in_body ? DATA_LOOP
							    : DATA_GOOD);
			}
}

/* ---- command ---- */

static void
verbs(void **state)
{
	static const struct {
		const char *line;
		enum command_verb verb;
		const char *arg;
	} t[] = {
		{ "EHLO x", VERB_EHLO, "x" },
		{ "helo  x ", VERB_HELO, "x" },
		{ "MAIL FROM:<>", VERB_MAIL, "FROM:<>" },
		{ "rcpt", VERB_RCPT, "" },
		{ "DATA ", VERB_DATA, "" },
		{ "RsEt", VERB_RSET, "" },
		{ "NOOP a b", VERB_NOOP, "a b" },
		{ "VRFY x", VERB_VRFY, "x" },
		{ "HELP", VERB_HELP, "" },
		{ "QUIT", VERB_QUIT, "" },
		{ "EXPN x", VERB_KNOWN, "x" },
		{ "STARTTLS", VERB_KNOWN, "" },
		{ "MAILFROM:<>", VERB_UNKNOWN, "" },
		{ " QUIT", VERB_UNKNOWN, "QUIT" },
		{ "", VERB_UNKNOWN, "" },
		{ "QUITX", VERB_UNKNOWN, "" },
		{ "QUI", VERB_UNKNOWN, "" },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(t); i++) {
		struct command c;

		assert_true(command_parse(str_of(t[i].line), &c));
		assert_int_equal(c.verb, t[i].verb);
		assert_true(str_eq(c.arg, str_of(t[i].arg)));
	}
}

static void
control_bytes(void **state)
{
	struct command c;

	(void)state;
	for (int byte = 0; byte < 256; byte++) {
		char line[] = "NOOP ?";

		line[5] = (char)byte;
		assert_int_equal(
		    command_parse((struct str){ line, sizeof(line) - 1 }, &c),
		    byte >= 0x20 && byte < 0x7f);
	}
}

static void
mail_arguments(void **state)
{
	static const struct {
		const char *arg;
		enum command_syntax status;
		const char *local, *domain;
		uint64_t size;
	} t[] = {
		{ "FROM:<>", COMMAND_OK, "", "", 0 },
		{ "from:<a@b>", COMMAND_OK, "a", "b", 0 },
		{ "FROM: <a@b>", COMMAND_OK, "a", "b", 0 },
		{ "FROM:   <a@b>  SIZE=5", COMMAND_OK, "a", "b", 5 },
		{ "FROM:<a@b> BODY=7bit size=18446744073709551615", COMMAND_OK,
		    "a", "b", UINT64_MAX },
		{ "FROM:<a@b> SIZE=99999999999999999999", COMMAND_OK, "a", "b",
		    UINT64_MAX },
		{ "FROM:<\"x>y\\\"z\"@b> SIZE=1", COMMAND_OK, "\"x>y\\\"z\"",
		    "b", 1 },
		{ "FROM:<@x:a@b>", COMMAND_OK, "a", "b", 0 },
		{ "FROM:<@x,@y.z:a@b>", COMMAND_OK, "a", "b", 0 },
		{ "FROM:<@:a@b>", COMMAND_BAD_ADDRESS, NULL, NULL, 0 },
		{ "FROM:<@x,:a@b>", COMMAND_BAD_ADDRESS, NULL, NULL, 0 },
		{ "FROM:<@x,@y>", COMMAND_BAD_ADDRESS, NULL, NULL, 0 },
		{ "FROM:<@x:>", COMMAND_BAD_ADDRESS, NULL, NULL, 0 },
		{ "FROM:<@x:@y:a@b>", COMMAND_BAD_ADDRESS, NULL, NULL, 0 },
		{ "FROM:<a>", COMMAND_BAD_ADDRESS, NULL, NULL, 0 },
		{ "FROM:<a@b", COMMAND_NO_PATH, NULL, NULL, 0 },
		{ "FROM:<\"a@b>", COMMAND_NO_PATH, NULL, NULL, 0 },
		{ "FROM:<\"a\\", COMMAND_NO_PATH, NULL, NULL, 0 },
		{ "FROM:a@b", COMMAND_NO_PATH, NULL, NULL, 0 },
		{ "FROM:", COMMAND_NO_PATH, NULL, NULL, 0 },
		{ "FROM", COMMAND_NO_PATH, NULL, NULL, 0 },
		{ "FROM <a@b>", COMMAND_NO_PATH, NULL, NULL, 0 },
		{ "TO:<a@b>", COMMAND_NO_PATH, NULL, NULL, 0 },
		{ "", COMMAND_NO_PATH, NULL, NULL, 0 },
		{ "FROM:<a@b>SIZE=1", COMMAND_NO_PATH, NULL, NULL, 0 },
		{ "FROM:<a@b>>", COMMAND_NO_PATH, NULL, NULL, 0 },
		{ "FROM:<a@b> SIZE", COMMAND_BAD_PARAMETER, NULL, NULL, 0 },
		{ "FROM:<a@b> SIZE=1x", COMMAND_BAD_PARAMETER, NULL, NULL, 0 },
		{ "FROM:<a@b> BODY", COMMAND_BAD_PARAMETER, NULL, NULL, 0 },
		{ "FROM:<a@b> X", COMMAND_NEW_PARAMETER, NULL, NULL, 0 },
		{ "FROM:<a@b> =", COMMAND_NEW_PARAMETER, NULL, NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(t); i++) {
		struct command_mail m;
		enum command_syntax e = command_mail(str_of(t[i].arg), &m);

		if (e != t[i].status)
			fail_msg("%s: %d", t[i].arg, (int)e);
		if (e != COMMAND_OK)
			continue;
		assert_int_equal(m.null, t[i].local[0] == '\0');
		assert_int_equal(m.size, t[i].size);
		if (!m.null) {
			assert_true(str_eq(m.sender.local, str_of(t[i].local)));
			assert_true(
			    str_eq(m.sender.domain, str_of(t[i].domain)));
		}
	}
}

static void
rcpt_arguments(void **state)
{
	static const struct {
		const char *arg;
		enum command_syntax status;
	} t[] = {
		{ "TO:<a@b>", COMMAND_OK },
		{ "to: <a@b> ", COMMAND_OK },
		{ "TO:<postmaster>", COMMAND_OK },
		{ "TO:<\"PostMaster\">", COMMAND_OK },
		{ "TO:<@r:postmaster>", COMMAND_OK },
		{ "TO:<bob>", COMMAND_BAD_ADDRESS },
		{ "TO:<>", COMMAND_BAD_ADDRESS },
		{ "TO:<a@b> X", COMMAND_NEW_PARAMETER },
		{ "TO:a@b", COMMAND_NO_PATH },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(t); i++) {
		struct address a;

		if (command_rcpt(str_of(t[i].arg), &a) != t[i].status)
			fail_msg("%s", t[i].arg);
	}
}

/* ---- reply, received ---- */

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
		cmocka_unit_test(lines),
		cmocka_unit_test(data_in_pieces),
		cmocka_unit_test(data_nul),
		cmocka_unit_test(data_size),
		cmocka_unit_test(data_wrong_bytes_count_over_size),
		cmocka_unit_test(data_loop),
		cmocka_unit_test(verbs),
		cmocka_unit_test(control_bytes),
		cmocka_unit_test(mail_arguments),
		cmocka_unit_test(rcpt_arguments),
		cmocka_unit_test(replies),
		cmocka_unit_test(reply_is_bounded),
		cmocka_unit_test(received),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
