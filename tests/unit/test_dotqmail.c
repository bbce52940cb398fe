/* SPDX-License-Identifier: ISC
 * Unit tests of dotqmail, programenv, reports and the runner's verdicts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/io.h"
#include "common/packet.h"
#include "send/dotqmail.h"
#include "send/programenv.h"
#include "send/reports.h"
#include "send/runner.h"

static void
assert_buf(struct buf *b, const char *wanted)
{
	const char *got = buf_cstr(b);
	assert_non_null(got);
	assert_string_equal(got, wanted);
}

/* One letter and the text of every line: "M./Maildir B" and so on. */
static void
put_lines(struct buf *out, struct str content)
{
	static const char letters[] = "MXPFLEB";
	struct dotqmail_line line;
	size_t at = 0, before = 0;
	while (dotqmail_next(content, &at, &line)) {
		assert_true(at > before && at <= content.n);
		before = at;
		buf_putc(out, letters[line.kind]);
		buf_put(out, line.text);
		buf_putc(out, ';');
	}
}

static void
test_lines(void **state)
{
	(void)state;
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "", "" },
		{ "./Maildir/\n", "M./Maildir;" },
		{ "./Maildir/", "M./Maildir;" },
		{ "/home/bob/Maildir///\n", "M/home/bob/Maildir;" },
		{ "/\n", "M/;" },
		{ "./mbox\n", "X./mbox;" },
		{ "./Maildir/ \t\n", "M./Maildir;" },
		{ "# x\n\n./a/\n", "M./a;" },
		{ "\n./a/\n", "E;M./a;" },
		{ "  \n./a/\n", "E;M./a;" },
		{ "&a@b\nc@d\n& e@f \n", "Fa@b;Fc@d;Fe@f;" },
		{ "|prog -x | y  \n", "Pprog -x | y;" },
		{ "|\n", "P;" },
		{ "+list\n&a@b\n", "L+list;Fa@b;" },
		{ "+else\n", "B+else;" },
		{ "&\n", "F;" },
		{ "#\n#\n", "" },
	};
	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		char text[256];
		struct buf out = BUF_ON(text);
		put_lines(&out, str_of(cases[i].in));
		assert_buf(&out, cases[i].out);
	}
	char text[64];
	struct buf out = BUF_ON(text);
	put_lines(&out, (struct str){ "./a\0b/\n", 7 });
	assert_int_equal(out.p[0], 'B');
}

/* What stands in whole lines before a cut reads the same as in the whole. */
static void
test_every_cut(void **state)
{
	(void)state;
	static const char whole[] =
	    "# c\n./Maildir/\n\n&a@b\n|prog x\n/abs/dir/\n+list\n./mbox\nx@y\n";
	struct str all = STR(whole);
	char all_text[256];
	struct buf wanted = BUF_ON(all_text);
	put_lines(&wanted, all);
	for (size_t cut = 0; cut <= all.n; cut++) {
		char text[256];
		struct buf out = BUF_ON(text);
		put_lines(&out, str_head(all, cut));
		if (cut == 0 || whole[cut - 1] != '\n')
			continue;
		assert_true(str_starts(buf_str(&wanted), buf_str(&out)));
		buf_reset(&out);
		put_lines(&out, str_head(all, cut));
		struct str rest = str_skip(all, cut);
		if (rest.n > 0 && rest.p[0] != '\n')
			put_lines(&out, rest);
		if (rest.n == 0 || rest.p[0] != '\n')
			assert_true(str_eq(buf_str(&wanted), buf_str(&out)));
	}
}

static void
test_paths(void **state)
{
	(void)state;
	static const struct {
		const char *line, *path; /* NULL: refused */
	} cases[] = {
		{ "./Maildir", "Maildir" },
		{ "./a/b c/d", "a/b c/d" },
		{ "/home/bob/Maildir", "Maildir" },
		{ "/home/bob/a/b", "a/b" },
		{ "/home/bob", NULL },
		{ "/home/bob/", NULL },
		{ "/home/bobby/Maildir", NULL },
		{ "/etc", NULL },
		{ "./..", NULL },
		{ "./a/../b", NULL },
		{ "../b", NULL },
		{ "./", NULL },
		{ ".", NULL },
		{ "./a//b", NULL },
		{ "./a/./b", NULL },
		{ "./...", "..." },
		{ ".hidden", NULL },
	};
	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		struct str path;
		bool ok = dotqmail_path(
		    str_of(cases[i].line), STR("/home/bob"), &path);
		assert_int_equal(ok, cases[i].path != NULL);
		if (ok)
			assert_true(str_eq(path, str_of(cases[i].path)));
	}
	struct str path;
	assert_true(dotqmail_path(STR("/h/x"), STR("/h///"), &path));
	assert_false(dotqmail_path_is_plain((struct str){ "a\0b", 3 }, 99));
	assert_false(dotqmail_path_is_plain(STR("abc"), 2));
}

static void
test_names(void **state)
{
	(void)state;
	static const struct {
		const char *extension, *names; /* with $DEFAULT behind = */
	} cases[] = {
		{ "", ".qmail=;" },
		{ "list", ".qmail-list=;.qmail-default=list;" },
		{ "a-b-c",
		    ".qmail-a-b-c=;.qmail-a-b-default=c;.qmail-a-default=b-c;"
		    ".qmail-default=a-b-c;" },
		{ "List.X", ".qmail-list:x=;.qmail-default=List.X;" },
		{ "-", ".qmail--=;.qmail--default=;.qmail-default=-;" },
		{ "a/b", "" },
	};
	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		struct str ext = str_of(cases[i].extension);
		char text[512], name_text[DOTQMAIL_NAME];
		struct buf out = BUF_ON(text), name = BUF_ON(name_text);
		size_t matched;
		for (unsigned n = 0; dotqmail_name(&name, ext, n, &matched);
		     n++) {
			assert_true(n < 20);
			buf_put(&out, buf_str(&name));
			buf_putc(&out, '=');
			buf_put(&out, str_skip(ext, matched));
			buf_putc(&out, ';');
		}
		assert_buf(&out, cases[i].names);
	}
	char big[300], name_text[DOTQMAIL_NAME];
	memset(big, 'x', sizeof(big));
	struct buf name = BUF_ON(name_text);
	size_t matched;
	assert_false(dotqmail_name(
	    &name, (struct str){ big, sizeof(big) }, 0, &matched));
}

/* ---- programenv ---- */

static bool
has(const struct buf *b, const char *var)
{
	struct str want = str_of(var), rest = buf_str(b), one;
	while (str_cut(rest, '\0', &one, &rest))
		if (str_eq(one, want))
			return true;
	return false;
}

static void
test_environment(void **state)
{
	(void)state;
	char text[4096];
	struct buf b = BUF_ON(text);
	struct programenv e = { .sender = STR("alice@crepes.fr"),
		.recipient = STR("bob-x-y-z@mail.hamburger.edu"),
		.extension = STR("x-y-z"),
		.matched = 2,
		.by_default = true,
		.birth = 1000000000,
		.user = STR("bob"),
		.home = STR("/home/bob") };
	assert_true(programenv_put(&b, &e));
	static const char *const wanted[] = { "SENDER=alice@crepes.fr",
		"NEWSENDER=alice@crepes.fr",
		"RECIPIENT=bob-x-y-z@mail.hamburger.edu", "LOCAL=bob-x-y-z",
		"HOST=mail.hamburger.edu", "HOST2=mail.hamburger", "HOST3=mail",
		"HOST4=mail", "EXT=x-y-z", "EXT2=y-z", "EXT3=z",
		"EXT4=", "DEFAULT=y-z", "USER=bob", "HOME=/home/bob",
		"DTLINE=Delivered-To: bob-x-y-z@mail.hamburger.edu\n",
		"RPLINE=Return-Path: <alice@crepes.fr>\n",
		"UFLINE=From alice@crepes.fr Sun Sep  9 01:46:40 2001\n" };
	for (size_t i = 0; i < N_ELEMENTS(wanted); i++)
		assert_true(has(&b, wanted[i]));
	e.by_default = false;
	e.sender = STR("");
	buf_reset(&b);
	assert_true(programenv_put(&b, &e));
	assert_true(has(&b, "RPLINE=Return-Path: <>\n"));
	assert_true(
	    has(&b, "UFLINE=From MAILER-DAEMON Sun Sep  9 01:46:40 2001\n"));
	assert_null(strstr(b.p, "DEFAULT="));
}

static void
test_unsafe(void **state)
{
	(void)state;
	for (int c = 0; c < 256; c++) {
		char one = (char)c;
		bool safe = programenv_is_safe((struct str){ &one, 1 });
		bool listed =
		    c != 0 &&
		    strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVW"
			   "XYZ0123456789@._-+=/:[]%#~^,",
			c) != NULL;
		assert_int_equal(safe, listed);
	}
	char text[4096];
	struct buf b = BUF_ON(text);
	struct programenv e = { .sender = STR("() { :;}; id"),
		.recipient = STR("b@c") };
	assert_false(programenv_put(&b, &e));
}

/* ---- runner ---- */

static void
test_verdicts(void **state)
{
	(void)state;
	for (int code = 0; code < 256; code++) {
		bool stop;
		enum verdict v = runner_verdict(code << 8, &stop);
		bool fails = code == 100 || code == 64 || code == 65 ||
			     code == 70 || code == 76 || code == 77 ||
			     code == 78 || code == 112;
		assert_int_equal(stop, code == 99);
		assert_int_equal(v, code == 0 || code == 99 ? VERDICT_OK
				    : fails		    ? VERDICT_FAIL
							    : VERDICT_DEFER);
	}
	bool stop;
	assert_int_equal(runner_verdict(9, &stop), VERDICT_DEFER);
}

static struct runner_answer
run(int fd, const char *command, char *storage, size_t cap)
{
	static char packet[PACKET_MAX];
	struct buf b = BUF_ON(packet);
	int body = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(body >= 0);
	struct runner_request r = { .slot = 7,
		.body_fd = body,
		.command = str_of(command),
		.environment = { "A=b", 4 } };
	assert_int_equal(runner_send(fd, &b, &r), 0);
	close(body);
	assert_int_equal(io_wait(fd, false, 20000), 1);
	struct runner_answer a;
	assert_int_equal(runner_receive(fd, storage, cap, &a), 1);
	assert_int_equal(a.slot, 7);
	return a;
}

static void
test_runner(void **state)
{
	(void)state;
	static char storage[PACKET_MAX];
	int here = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int pair[2];
	assert_int_equal(io_pair(SOCK_SEQPACKET, pair), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		runner_serve(pair[1], here, 1000);
	close(pair[1]);
	int fd = pair[0];
	struct runner_answer a =
	    run(fd, "echo \"$A\"; exit 5", storage, sizeof(storage));
	assert_int_equal(a.verdict, VERDICT_DEFER);
	assert_true(str_eq(a.text, STR("4.3.0 program exited with 5: b")));
	/* what it leaves in the background is not waited for */
	a = run(fd, "sleep 60 & exit 99", storage, sizeof(storage));
	assert_true(a.stop && a.verdict == VERDICT_OK);
	a = run(fd, "sleep 60", storage, sizeof(storage));
	assert_int_equal(a.verdict, VERDICT_DEFER);
	assert_true(
	    str_eq(a.text, STR("4.3.0 program was stopped: it took too long")));
	a = run(
	    fd, "yes | head -c 1000000; exit 100", storage, sizeof(storage));
	assert_int_equal(a.verdict, VERDICT_FAIL);
	assert_true(a.text.n <= RUNNER_TEXT);
	close(fd);
	close(here);
}

/* ---- reports ---- */

static void
test_reports(void **state)
{
	(void)state;
	static struct reports r;
	static char packet[PACKET_MAX];
	struct buf b = BUF_ON(packet);
	const struct report *forward;
	reports_init(&r);
	assert_false(reports_next(&r, &b, &forward));
	reports_add(&r, 1, 0, VERDICT_OK, "2.0.0 a");
	reports_add_text(&r, 1, 1, VERDICT_FAIL, STR("5.0.0 b"));
	reports_add(&r, 2, 0, VERDICT_OK, "2.0.0 c");
	reports_add_forward(&r, 2, 1, 42);
	assert_true(reports_next(&r, &b, &forward));
	struct packet p = packet_open(buf_str(&b));
	assert_int_equal(p.type, 'R');
	assert_int_equal(packet_get_u32(&p), 3);
	assert_int_equal(packet_get_u64(&p), 1);
	assert_int_equal(packet_get_u32(&p), 0);
	assert_int_equal(packet_get_u8(&p), 'K');
	assert_true(str_eq(packet_get_str(&p, 99), STR("2.0.0 a")));
	assert_int_equal(packet_get_u64(&p), 1);
	assert_int_equal(packet_get_u32(&p), 1);
	assert_int_equal(packet_get_u8(&p), 'D');
	assert_true(str_eq(packet_get_str(&p, 99), STR("5.0.0 b")));
	assert_int_equal(packet_get_u64(&p), 2);
	assert_int_equal(packet_get_u32(&p), 0);
	assert_int_equal(packet_get_u8(&p), 'K');
	assert_true(str_eq(packet_get_str(&p, 99), STR("2.0.0 c")));
	assert_true(packet_end(&p));
	reports_sent(&r);
	assert_true(reports_next(&r, &b, &forward));
	assert_non_null(forward);
	assert_int_equal(forward->task, 42);
	reports_sent(&r);
	assert_false(reports_next(&r, &b, &forward));
	assert_int_equal(reports_acknowledge(&r, 2, 1), 42);
	assert_int_equal(reports_acknowledge(&r, 2, 1), REPORTS_NO_TASK);
	assert_int_equal(reports_acknowledge(&r, 9, 9), REPORTS_NO_TASK);
	assert_true(reports_has(&r, 1, 1));
	reports_resend(&r);
	assert_true(reports_next(&r, &b, &forward));
	assert_int_equal(reports_acknowledge(&r, 1, 1), REPORTS_NO_TASK);
	assert_false(reports_has(&r, 1, 1));
}

/* Taken out of order, with some kept, over more than the list's length. */
static void
test_reports_go_round(void **state)
{
	(void)state;
	static struct reports r;
	static char packet[PACKET_MAX];
	struct buf b = BUF_ON(packet);
	const struct report *forward;
	uint32_t told = 0;
	reports_init(&r);
	for (uint32_t i = 0; i < 3 * REPORTS_MAX; i++) {
		reports_add(&r, 7, i, VERDICT_OK, "2.0.0 a");
		while (i % 5 == 4 && reports_next(&r, &b, &forward)) {
			struct packet p = packet_open(buf_str(&b));
			told += packet_get_u32(&p);
			reports_sent(&r);
		}
		if (i >= 3 && i % 1000 != 0)
			(void)reports_acknowledge(&r, 7, i - i % 3);
		if (i >= 9 && i % 3 == 0)
			for (uint32_t k = i - 8; k < i - 3; k++)
				if (k % 1000 != 0)
					(void)reports_acknowledge(&r, 7, k);
		assert_true(r.count < REPORTS_MAX / 2);
	}
	assert_true(reports_has(&r, 7, 1000));
	assert_false(reports_has(&r, 7, 999));
	assert_true(told >= REPORTS_MAX);
	size_t kept = r.count;
	told = 0;
	reports_resend(&r);
	while (reports_next(&r, &b, &forward)) {
		struct packet p = packet_open(buf_str(&b));
		told += packet_get_u32(&p);
		reports_sent(&r);
	}
	assert_int_equal(told, kept);
}

static void
test_reports_full(void **state)
{
	(void)state;
	static struct reports r;
	static char packet[PACKET_MAX], text[LIMIT_REPORT + 10];
	memset(text, 'x', sizeof(text));
	struct buf b = BUF_ON(packet);
	const struct report *forward;
	reports_init(&r);
	for (uint32_t i = 0; i < REPORTS_MAX; i++)
		reports_add_text(&r, 1, i, VERDICT_DEFER,
		    (struct str){ text, sizeof(text) });
	assert_int_equal(reports_room(&r), 0);
	unsigned packets = 0;
	while (reports_next(&r, &b, &forward)) {
		assert_true(++packets < 1000);
		reports_sent(&r);
	}
	for (uint32_t i = 0; i < REPORTS_MAX; i++)
		(void)reports_acknowledge(&r, 1, i);
	assert_int_equal(reports_room(&r), REPORTS_MAX);
	assert_int_equal(r.free_count, REPORTS_TEXTS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_unsafe),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_runner),
		cmocka_unit_test(test_reports),
		cmocka_unit_test(test_reports_go_round),
		cmocka_unit_test(test_reports_full),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
