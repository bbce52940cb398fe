/* SPDX-License-Identifier: ISC
 * Tests common/door and loop_rest: out of descriptors, a role does not spin.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/door.h"
#include "common/io.h"
#include "common/log.h"

enum { A_WHILE_MS = 100 };

static struct watch door;
static unsigned calls;
static int last_fd;
static uid_t last_uid;
static int64_t until;

static void
on_door(struct watch *w, uint32_t events)
{
	(void)events;
	calls++;
	last_fd = door_accept(w, &last_uid);
	if (last_fd >= 0)
		loop_stop();
}

static void
on_rest(struct watch *w, uint32_t events)
{
	(void)events;
	if (++calls == 1)
		loop_rest(w, A_WHILE_MS);
	else
		loop_stop();
}

static int
before_wait(void)
{
	int64_t left = until - clock_mono_ms();

	if (left > 0)
		return (int)left;
	loop_stop();
	return 0;
}

/* A listening socket, to which somebody connects. */
static int
visited(int *caller)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	socklen_t n = sizeof(sa.sun_family);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, n), 0);
	assert_int_equal(listen(fd, 4), 0);
	n = sizeof(sa);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
	*caller = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(connect(*caller, (struct sockaddr *)&sa, n), 0);
	return fd;
}

static void
limit_descriptors(rlim_t most)
{
	struct rlimit r;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &r), 0);
	r.rlim_cur = most == 0 ? r.rlim_max : most;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &r), 0);
}

static int
begin(void (*ready)(struct watch *, uint32_t))
{
	int caller;

	loop_init();
	calls = 0;
	door = (struct watch){ .fd = visited(&caller), .ready = ready };
	door_open(&door, "a test");
	return caller;
}

static void
says_who_comes(void **state)
{
	(void)state;
	int caller = begin(on_door);

	until = clock_mono_ms() + 10 * A_WHILE_MS;
	loop_run(before_wait);
	assert_true(last_fd >= 0);
	assert_int_equal(last_uid, geteuid());
	assert_int_equal(fcntl(last_fd, F_GETFD), FD_CLOEXEC);
	assert_true((fcntl(last_fd, F_GETFL) & O_NONBLOCK) != 0);
	assert_int_equal(door_accept(&door, &last_uid), -1);
	loop_remove(&door);
	close(last_fd);
	close(caller);
}

static void
rests_and_goes_on(void **state)
{
	(void)state;
	int caller = begin(on_rest);
	int64_t begun = clock_mono_ms();

	until = begun + 10 * A_WHILE_MS;
	loop_run(before_wait);
	assert_int_equal(calls, 2);
	assert_true(clock_mono_ms() - begun >= A_WHILE_MS);
	loop_remove(&door);
	close(caller);
}

/* Of a role with fds 0 to 2, the log's among them. */
static void
does_not_spin_without_descriptors(void **state)
{
	(void)state;
	int caller = begin(on_door);

	limit_descriptors(3);
	until = clock_mono_ms() + A_WHILE_MS;
	loop_run(before_wait);
	limit_descriptors(0);
	assert_int_equal(last_fd, -1);
	assert_int_equal(calls, 1);
	loop_remove(&door);
	close(caller);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_who_comes),
		cmocka_unit_test(rests_and_goes_on),
		cmocka_unit_test(does_not_spin_without_descriptors),
	};

	log_init("test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
