/* SPDX-License-Identifier: ISC
 * Tests of send/walk and send/target: hostile and odd answers.  The usual ways
 * are tests/protocol/test_dial.py's.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/log.h"
#include "send/mxlist.h"
#include "send/target.h"
#include "send/walk.h"

static struct walk_world world;
static struct walk w;
static struct walk_target target;

static const struct {
	const char *ip;
	bool special;
} targets[] = {
	{ "127.0.0.1", true },
	{ "127.255.0.1", true },
	{ "0.0.0.0", true },
	{ "0.1.2.3", true },
	{ "169.254.0.1", true },
	{ "224.0.0.1", true },
	{ "239.255.255.255", true },
	{ "240.0.0.1", true },
	{ "255.255.255.255", true },
	{ "::", true },
	{ "::1", true },
	{ "fe80::1", true },
	{ "febf::1", true },
	{ "ff02::1", true },
	{ "::ffff:127.0.0.1", true },
	{ "::ffff:0.0.0.0", true },
	{ "10.0.0.1", false },
	{ "192.0.2.1", false },
	{ "1.1.1.1", false },
	{ "126.255.255.255", false },
	{ "128.0.0.1", false },
	{ "223.255.255.255", false },
	{ "2001:db8::1", false },
	{ "::2", false },
	{ "fec0::1", false },
	{ "fd00::1", false },
};

static void
special_targets(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(targets); i++) {
		struct ip ip;

		assert_true(ip_parse(str_of(targets[i].ip), &ip));
		if (target_is_special(&ip) != targets[i].special)
			fail_msg("%s", targets[i].ip);
	}
}

/* An answer as dnsd writes it, without its key. */
static void
answer(uint32_t number, uint8_t status, struct str fields)
{
	char bytes[1024];
	struct buf b = BUF_ON(bytes);

	packet_begin(&b, 'A');
	packet_u8(&b, status);
	packet_u8(&b, 0);
	packet_u32(&b, 60);
	buf_put(&b, fields);
	assert_false(b.full);
	struct packet p = packet_open(buf_str(&b));
	walk_answer(&w, number, &p);
}

static void
begin(const char *domain)
{
	walk_begin(&w, &world, str_of(domain), 12345);
	assert_int_equal(walk_next(&w, &target), WALK_ASK);
	struct walk_question q;
	assert_true(walk_question(&w, &q));
	assert_int_equal(q.number, 0);
	assert_int_equal(q.type, WALK_MX);
	assert_false(walk_question(&w, &q));
}

static void
over(enum verdict verdict, const char *code)
{
	assert_int_equal(walk_next(&w, &target), WALK_OVER);
	assert_int_equal(w.verdict, verdict);
	assert_true(str_starts((struct str){ w.text, w.text_n }, str_of(code)));
}

/* Every cut of a good answer, and answers nobody waits for. */
static void
hostile_answers(void **state)
{
	(void)state;
	const struct str good = STR("\0\0\0\1\0\0\0\12\0\0\0\4mx.x");

	for (size_t n = 0; n < good.n; n++) {
		begin("a.example");
		answer(0, 0, str_head(good, n));
		over(VERDICT_DEFER, "4.4.3");
	}
	begin("a.example");
	answer(7, 0, good); /* of a host that is not there */
	answer(0xffffffff, 0, good);
	answer(0, 0, good);
	answer(0, 1, STR("\0\0\0\0")); /* twice */
	assert_int_equal(walk_next(&w, &target), WALK_ASK);
	struct walk_question q;
	assert_true(walk_question(&w, &q));
	assert_true(str_eq(q.name, STR("mx.x")));
	answer(1, 0, STR("\0\0\0\1\0\0\0\4\300\0\2\1")); /* 4 bytes for AAAA */
	answer(2, 0, STR("\0\0\0\1\0\0\0\4\300\0\2\1")); /* not asked yet */
	assert_true(walk_question(&w, &q));
	answer(2, 0, STR("\0\0\0\1\0\0\0\4\300\0\2\1"));
	assert_int_equal(walk_next(&w, &target), WALK_CONNECT);
	walk_failed(&w, &target, "no");
	over(VERDICT_DEFER, "4.4.1 mx.x (192.0.2.1) cannot");
}

/* Questions that were lost are asked again, answered ones are not. */
static void
asks_again(void **state)
{
	(void)state;
	struct walk_question q;

	begin("a.example");
	walk_unask_all(&w);
	assert_true(walk_question(&w, &q));
	answer(0, 2, STR("\0\0\0\0"));
	assert_int_equal(walk_next(&w, &target), WALK_ASK);
	assert_true(walk_question(&w, &q));
	assert_true(walk_question(&w, &q));
	answer(q.number, 2, STR("\0\0\0\0"));
	walk_unask_all(&w);
	assert_true(walk_question(&w, &q));
	assert_int_equal(q.type, WALK_AAAA);
	assert_false(walk_question(&w, &q));
	answer(q.number, 2, STR("\0\0\0\0"));
	over(VERDICT_FAIL, "5.1.2");
}

/* Who has a smarthost is told of that, not of the recipient's MX. */
static void
no_answer_about_a_route(void **state)
{
	(void)state;
	char folder[] = "/tmp/test_walk.XXXXXX";
	const struct walk_world before = world;
	struct walk_question q;

	assert_non_null(mkdtemp(folder));
	int dirfd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd =
	    openat(dirfd, "smtproutes", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, ":smart.example\n", 15), 15);
	assert_int_equal(close(fd), 0);
	struct routes *routes = routes_load(dirfd);
	assert_non_null(routes);
	world.routes = routes;
	assert_int_equal(unlinkat(dirfd, "smtproutes", 0), 0);
	assert_int_equal(close(dirfd), 0);
	assert_int_equal(rmdir(folder), 0);

	walk_begin(&w, &world, STR("a.example"), 12345);
	assert_int_equal(walk_next(&w, &target), WALK_ASK);
	while (walk_question(&w, &q)) {
		assert_true(str_eq(q.name, STR("smart.example")));
		answer(q.number, 2 + 1, STR("\0\0\0\0"));
	}
	over(VERDICT_DEFER,
	    "4.4.3 no DNS answer about the host that smtproutes has for "
	    "a.example");
	world = before;
	routes_free(routes);
}

/* However many records there are, only so many addresses are tried. */
static void
bounded(void **state)
{
	(void)state;
	static char bytes[PACKET_MAX];
	unsigned connects = 0;
	struct buf b = BUF_ON(bytes);
	struct walk_question q;

	packet_u32(&b, MXLIST_MAX);
	for (unsigned i = 0; i < MXLIST_MAX; i++) {
		packet_u32(&b, i / 8);
		packet_str(&b, STR("m.x"));
	}
	begin("a.example");
	answer(0, 0, buf_str(&b));
	for (;;) {
		enum walk_step step = walk_next(&w, &target);

		if (step == WALK_OVER)
			break;
		if (step == WALK_CONNECT) {
			connects++;
			walk_failed(&w, &target, "no");
			continue;
		}
		while (walk_question(&w, &q)) {
			buf_reset(&b);
			packet_u32(&b, 10);
			for (unsigned i = 0; i < 10; i++)
				packet_str(&b,
				    q.type == WALK_A
					? STR("\300\0\2\1")
					: STR("\x20\1\15\270\0\0\0\0\0\0\0\0\0"
					      "\0\0\1"));
			answer(q.number, 0, buf_str(&b));
		}
	}
	assert_int_equal(connects, WALK_ATTEMPTS);
	assert_int_equal(w.verdict, VERDICT_DEFER);
}

static int
setup(void **state)
{
	(void)state;
	int dirfd = open("/proc/self/fdinfo", O_RDONLY | O_CLOEXEC);

	world.routes = routes_load(dirfd); /* no file there: an empty table */
	return close(dirfd) < 0 || world.routes == NULL ? -1 : 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(special_targets),
		cmocka_unit_test(hostile_answers),
		cmocka_unit_test(asks_again),
		cmocka_unit_test(no_answer_about_a_route),
		cmocka_unit_test(bounded),
	};

	log_init("test");
	return cmocka_run_group_tests(tests, setup, NULL);
}
