/* SPDX-License-Identifier: ISC
 * Unit test of send/attempt.c: a child that says anything.  delivery_run, what
 * runs in the child, is the test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/io.h"
#include "common/packet.h"
#include "common/template.h"
#include "send/attempt.h"

enum { COUNT = 3 };

/* What the child says; each in answer to the first job. */
enum script {
	SAYS_GOOD,
	SAYS_TWICE, /* the first word counts */
	SAYS_OTHER_ID,
	SAYS_OTHER_RECIPIENT,
	SAYS_NO_VERDICT,
	SAYS_CUT,
	SAYS_MANY, /* a count that the packet does not hold */
	SAYS_UNKNOWN,
	SAYS_EMPTY,
	SAYS_NOTHING, /* and ends */
	SAYS_SOME,    /* and ends */
	SAYS_F,
	SAYS_F_WRONG,
	SAYS_F_CUT,
	SAYS_F_EARLY, /* and has ended before there is a job */
	DIES
};

static enum script script;

static void
put_report(struct buf *b, uint64_t id, uint32_t idx, char verdict)
{
	packet_u64(b, id);
	packet_u32(b, idx);
	packet_u8(b, (uint8_t)verdict);
	packet_str(b, STR("2.0.0 said"));
}

static void
put_reports(struct buf *b, uint32_t n)
{
	packet_begin(b, 'R');
	packet_u32(b, n);
	for (uint32_t i = 0; i < COUNT && i < n; i++)
		put_report(b, 1, i, 'K');
}

static void
put_one(struct buf *b, uint64_t id, uint32_t idx, char verdict)
{
	packet_begin(b, 'R');
	packet_u32(b, 1);
	put_report(b, id, idx, verdict);
}

static void
put_failure(struct buf *b, char verdict)
{
	packet_begin(b, 'F');
	packet_u8(b, (uint8_t)verdict);
	packet_str(b, STR("5.3.2 nobody"));
}

/* What is said first. */
static void
put_script(struct buf *b)
{
	switch (script) {
	case SAYS_GOOD:
	case SAYS_TWICE:
		put_reports(b, COUNT);
		break;
	case SAYS_OTHER_ID:
		put_one(b, 2, 0, 'K');
		break;
	case SAYS_OTHER_RECIPIENT:
		put_one(b, 1, COUNT, 'K');
		break;
	case SAYS_NO_VERDICT:
		put_one(b, 1, 0, 'X');
		break;
	case SAYS_CUT:
		put_reports(b, COUNT);
		buf_cut(b, b->n - 1);
		break;
	case SAYS_MANY:
		put_reports(b, UINT32_MAX);
		break;
	case SAYS_UNKNOWN:
		packet_begin(b, 'Q');
		break;
	case SAYS_SOME:
		put_one(b, 1, 1, 'D');
		break;
	case SAYS_F:
	case SAYS_F_EARLY:
		put_failure(b, 'D');
		break;
	case SAYS_F_WRONG:
		put_failure(b, 'K');
		break;
	case SAYS_F_CUT:
		put_failure(b, 'D');
		buf_cut(b, b->n - 1);
		break;
	case SAYS_EMPTY:
		packet_begin(b, '\0');
		break;
	case SAYS_NOTHING:
	case DIES:
		break;
	}
}

/* As common/template.c has it, as far as it matters here. */
int
template_fork(const int *keep, size_t n)
{
	(void)keep;
	(void)n;
	int pid = fork();
	siginfo_t end;
	if (pid > 0 && script == SAYS_F_EARLY)
		assert_return_code(
		    waitid(P_PID, (id_t)pid, &end, WEXITED | WNOWAIT), errno);
	return pid;
}

void
delivery_run(const struct delivery_setup *setup)
{
	static char room[PACKET_MAX];
	struct buf b = BUF_ON(room);
	struct str bytes;
	int fds[PACKET_FDS];
	size_t nfds;

	if (script != SAYS_F_EARLY)
		(void)packet_recv(
		    setup->job, room, sizeof(room), 0, &bytes, fds, &nfds);
	if (script == DIES)
		(void)raise(SIGKILL);
	if (script == SAYS_TWICE) {
		put_one(&b, 1, 0, 'D');
		(void)packet_send(setup->job, buf_str(&b), NULL, 0);
	}
	put_script(&b);
	if (b.n > 0)
		(void)packet_send(setup->job, buf_str(&b), NULL, 0);
}

static void
no_sandbox(void)
{
}

static struct attempt_recipient recipients[COUNT];

static struct attempt_end
run(enum script what)
{
	struct attempt_end end;
	struct attempt_mail mail = { .sender = STR("a@b.example"),
		.recipients = recipients,
		.count = COUNT };
	struct delivery_setup setup = { .host = STR("mx.example") };

	script = what;
	memset(recipients, 0, sizeof(recipients));
	for (size_t i = 0; i < COUNT; i++)
		recipients[i].address = STR("x@y.example");
	mail.message.fd = memfd_create("message", MFD_CLOEXEC);
	assert_true(mail.message.fd >= 0);
	setup.net = open("/dev/null", O_RDWR | O_CLOEXEC);
	assert_true(setup.net >= 0);
	attempt_run(&setup, &mail, no_sandbox, &end);
	io_close(&mail.message.fd);
	while (waitpid(-1, NULL, 0) > 0)
		continue;
	return end;
}

static size_t
decided(void)
{
	size_t n = 0;

	for (size_t i = 0; i < COUNT; i++)
		n += recipients[i].decided;
	return n;
}

static void
what_is_good_is_taken(void **state)
{
	(void)state;
	struct attempt_end end = run(SAYS_GOOD);

	assert_false(end.failed);
	assert_int_equal(decided(), COUNT);
	assert_int_equal(recipients[2].verdict, VERDICT_OK);
	end = run(SAYS_TWICE);
	assert_false(end.failed);
	assert_int_equal(recipients[0].verdict, VERDICT_FAIL);
	assert_int_equal(recipients[1].verdict, VERDICT_OK);
}

/* Nobody is decided by it, and the next address has its turn. */
static void
what_is_not_is_a_deferral(void **state)
{
	static const enum script bad[] = { SAYS_OTHER_ID, SAYS_OTHER_RECIPIENT,
		SAYS_NO_VERDICT, SAYS_MANY, SAYS_UNKNOWN, SAYS_EMPTY,
		SAYS_NOTHING, SAYS_F_WRONG, SAYS_F_CUT, DIES };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
		struct attempt_end end = run(bad[i]);

		assert_true(end.failed);
		assert_int_equal(end.verdict, VERDICT_DEFER);
		assert_true(end.text_n > 0 && end.text[0] == '4');
		if (bad[i] != SAYS_MANY) /* it begins with good ones */
			assert_int_equal(decided(), 0);
	}
	assert_true(run(SAYS_CUT).failed);
}

static void
some_may_be_left(void **state)
{
	(void)state;
	struct attempt_end end = run(SAYS_SOME);

	assert_true(end.failed);
	assert_int_equal(decided(), 1);
	assert_int_equal(recipients[1].verdict, VERDICT_FAIL);
	end = run(SAYS_F);
	assert_true(end.failed);
	assert_int_equal(end.verdict, VERDICT_FAIL);
	assert_int_equal(decided(), 0);
	/* a server whose greeting refuses all, on a busy machine */
	end = run(SAYS_F_EARLY);
	assert_true(end.failed);
	assert_int_equal(end.verdict, VERDICT_FAIL);
	assert_int_equal(decided(), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_good_is_taken),
		cmocka_unit_test(what_is_not_is_a_deferral),
		cmocka_unit_test(some_may_be_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
