/* SPDX-License-Identifier: ISC
 * Unit tests of common/log: what a peer says cannot break a line or forge one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>
#include "common/io.h"
#include "common/log.h"

static void
test_safe(void **state)
{
	(void)state;
	char text[64];
	struct buf b = BUF_ON(text);
	log_safe(&b, STR("a\r\nb\"\\\x7f\xff\0"), 60);
	assert_string_equal(
	    buf_cstr(&b), "a\\x0d\\x0ab\\x22\\x5c\\x7f\\xff\\x00");
	buf_reset(&b);
	log_safe(&b, STR("ab\ncd"), 5); /* never half an escape */
	assert_string_equal(buf_cstr(&b), "ab");
	struct buf small = { .p = text, .cap = 3 };
	log_safe(&small, STR("abcdef"), 60);
	assert_int_equal(small.n, 3);
	assert_false(small.full);
}

/* Runs log_event with stderr on a pipe and returns the line. */
static struct str
caught(char *storage, size_t cap, const struct log_field *f, size_t n)
{
	int pair[2];
	assert_int_equal(pipe2(pair, O_CLOEXEC | O_NONBLOCK), 0);
	int kept = dup(STDERR_FILENO);
	assert_true(dup2(pair[1], STDERR_FILENO) >= 0);
	log_event(LOG_WARN, "test", f, n);
	assert_true(dup2(kept, STDERR_FILENO) >= 0);
	close(kept);
	close(pair[1]);
	int64_t got = io_slurp(pair[0], storage, cap);
	close(pair[0]);
	assert_true(got > 0);
	return (struct str){ .p = storage, .n = (size_t)got };
}

static void
test_line(void **state)
{
	(void)state;
	char storage[LOG_LINE];
	const struct log_field f[] = { F_STR("peer", STR("a b\nt=1 event=x")),
		F_NUM("n", 7), F_ID(0xabc), F_TEXT("empty", "") };
	log_init("tester");
	struct str line = caught(storage, sizeof(storage), f, N_ELEMENTS(f));
	assert_int_equal(str_find(line, '\n'), line.n - 1);
	struct str head;
	struct str tail;
	assert_true(str_cut(line, ' ', &head, &tail));
	assert_true(str_eq(
	    tail, STR("level=warn role=tester event=test "
		      "peer=\"a b\\x0at=1 event=x\" n=7 qid=0000000000000abc "
		      "empty=\"\"\n")));
}

static void
test_long_line(void **state)
{
	(void)state;
	static char big[3000];
	char storage[LOG_LINE];
	memset(big, 'x', sizeof(big));
	struct str s = { .p = big, .n = sizeof(big) };
	const struct log_field f[] = { F_STR("a", s), F_STR("b", s),
		F_STR("c", s), F_STR("d", s) };
	struct str line = caught(storage, sizeof(storage), f, N_ELEMENTS(f));
	assert_true(line.n <= LOG_LINE);
	assert_true(str_ends(line, STR(" cut=1\n")));
	assert_int_equal(str_find(line, '\n'), line.n - 1);
}

/* Lines wait for the flush, in order; a warning takes them along. */
static void
test_gathered(void **state)
{
	(void)state;
	static char storage[4 * LOG_LINE];
	int pair[2];
	assert_int_equal(pipe2(pair, O_CLOEXEC | O_NONBLOCK), 0);
	int kept = dup(STDERR_FILENO);
	assert_true(dup2(pair[1], STDERR_FILENO) >= 0);
	log_gather();
	LOG(INFO, "one", F_NUM("n", 1));
	LOG(INFO, "two", F_NUM("n", 2));
	assert_int_equal(read(pair[0], storage, sizeof(storage)), -1);
	log_flush();
	ssize_t first = read(pair[0], storage, sizeof(storage));
	log_flush(); /* nothing twice */
	LOG(INFO, "three", F_NUM("n", 3));
	LOG(WARN, "four", F_NUM("n", 4));
	ssize_t rest = read(pair[0], storage + first, LOG_LINE);
	for (int i = 0; i < 100; i++) /* more than is kept: nothing is lost */
		LOG(INFO, "many", F_NUM("n", i));
	ssize_t some = read(pair[0], storage + first + rest, LOG_LINE);
	log_flush();
	assert_true(dup2(kept, STDERR_FILENO) >= 0);
	close(kept);
	close(pair[0]);
	close(pair[1]);
	assert_true(first > 0 && rest > 0 && some > 0);
	struct str lines = { .p = storage, .n = (size_t)(first + rest) };
	static const char *const events[] = { "one n=1", "two n=2", "three n=3",
		"four n=4" };
	for (size_t i = 0; i < N_ELEMENTS(events); i++) {
		struct str line, more;
		assert_true(str_cut(lines, '\n', &line, &more));
		assert_true(str_ends(line, str_of(events[i])));
		lines = more;
	}
	assert_int_equal(lines.n, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_safe), cmocka_unit_test(test_line),
		cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_gathered), /* last: it stays so */
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
