/* SPDX-License-Identifier: ISC
 * Unit tests of send/passwdfile: what it takes from /etc/passwd, and that it
 * says nothing where getpwnam might say something else.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "common/buf.h"
#include "common/io.h"
#include "send/passwdfile.h"

enum { USERS = 3000 };

static char folder[] = "/tmp/postern-passwdfile-XXXXXX";
static char path[64], order[64];

static void
write_file(const char *name, struct str text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(0, io_write_all(fd, text));
	close(fd);
}

/* Until a change is older than what is not relied on. */
static void
let_it_age(void)
{
	struct timespec pause = { .tv_sec = PASSWDFILE_YOUNG_S + 1 };
	assert_int_equal(0, nanosleep(&pause, NULL));
}

static int
set_up(void **state)
{
	(void)state;
	if (mkdtemp(folder) == NULL)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/passwd", folder);
	(void)snprintf(order, sizeof(order), "%s/nsswitch.conf", folder);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	(void)unlink(path);
	(void)unlink(order);
	return rmdir(folder);
}

static void
test_lines(void **state)
{
	static const char *const bad[] = { "", ":", "a", "a:x:1:2:g",
		"a:x:1:2:g:/h", ":x:1:2:g:/h:/s", "a:x::2:g:/h:/s",
		"a:x:-1:2:g:/h:/s", "a:x:1:4294967295:g:/h:/s",
		"a:x:4294967295:2:g:/h:/s", "a:x: 1:2:g:/h:/s", "+::::::" };
	struct account a;
	(void)state;
	assert_true(passwdfile_parse(STR("bob:x:1001:1002:B,,:/h/bob:"), &a));
	assert_string_equal("bob", a.name);
	assert_string_equal("/h/bob", a.home);
	assert_int_equal(1001, a.uid);
	assert_int_equal(1002, a.gid);
	for (size_t i = 0; i < N_ELEMENTS(bad); i++)
		if (passwdfile_parse(str_of(bad[i]), &a))
			fail_msg("taken: %s", bad[i]);
	char text[2048] = "long:x:1:1::";
	memset(text + 12, 'h', ACCOUNT_HOME);
	memcpy(text + 12 + ACCOUNT_HOME, ":/s", 4);
	assert_false(passwdfile_parse(str_of(text), &a));
}

static void
test_order(void **state)
{
	(void)state;
	assert_true(passwdfile_is_first(STR("")));
	assert_true(passwdfile_is_first(STR("group: sss\n")));
	assert_true(passwdfile_is_first(STR("# passwd: sss\npasswd: files")));
	assert_true(passwdfile_is_first(STR("passwd:\tfiles systemd\n")));
	assert_false(passwdfile_is_first(STR("passwd: sss files\n")));
	assert_false(passwdfile_is_first(STR("passwd: filesystem\n")));
	assert_false(passwdfile_is_first(STR("passwd:\n")));
	assert_false(passwdfile_is_first(STR("passwd: compat\n")));
	assert_false(passwdfile_is_first(STR("passwd: [x=y] files\n")));
}

static void
test_finds_as_getpwnam(void **state)
{
	static char space[USERS * 64];
	struct passwdfile f = { .path = path, .order_path = order };
	struct buf text = BUF_ON(space);
	struct account a;
	(void)state;
	buf_puts(&text, "root:x:0:0::/root:/bin/sh\nbroken\n+\n\n");
	for (unsigned i = 0; i < USERS; i++) {
		char line[64];
		(void)snprintf(line, sizeof(line), "u%u:x:%u:%u::/h/%u:/s\n", i,
		    i + 1000, i + 5000, i);
		buf_puts(&text, line);
	}
	buf_puts(&text, "u7:x:9:9::/twice:/s\nlast:x:3:3::/last:");
	assert_false(text.full);
	write_file(path, buf_str(&text));
	assert_false(passwdfile_find(&f, STR("u1"), &a)); /* too young */
	let_it_age();
	for (unsigned i = 0; i < USERS; i++) {
		char name[16], home[16];
		(void)snprintf(name, sizeof(name), "u%u", i);
		(void)snprintf(home, sizeof(home), "/h/%u", i);
		assert_true(passwdfile_find(&f, str_of(name), &a));
		assert_string_equal(name, a.name);
		assert_string_equal(home, a.home);
		assert_int_equal(i + 1000, a.uid);
		assert_int_equal(i + 5000, a.gid);
	}
	assert_true(passwdfile_find(&f, STR("last"), &a));
	assert_string_equal("/last", a.home);
	assert_false(passwdfile_find(&f, STR("broken"), &a));
	assert_false(passwdfile_find(&f, STR("+"), &a));
	assert_false(passwdfile_find(&f, STR("u"), &a));
	assert_false(passwdfile_find(&f, STR(""), &a));
}

static void
test_changes_are_seen(void **state)
{
	struct passwdfile f = { .path = path, .order_path = order };
	struct account a;
	(void)state;
	write_file(path, STR("bob:x:1001:1::/a:/s\n"));
	let_it_age();
	assert_true(passwdfile_find(&f, STR("bob"), &a));
	write_file(path, STR("bob:x:1002:1::/a:/s\n")); /* as long as before */
	assert_false(passwdfile_find(&f, STR("bob"), &a));
	write_file(order, STR("passwd: files\n"));
	let_it_age();
	assert_true(passwdfile_find(&f, STR("bob"), &a));
	assert_int_equal(1002, a.uid);
	write_file(order, STR("passwd: sss files\n"));
	assert_false(passwdfile_find(&f, STR("bob"), &a));
	let_it_age();
	assert_false(passwdfile_find(&f, STR("bob"), &a));
	assert_int_equal(0, unlink(order));
	assert_true(passwdfile_find(&f, STR("bob"), &a));
	write_file(path, STR(""));
	let_it_age();
	assert_false(passwdfile_find(&f, STR("bob"), &a));
	assert_int_equal(0, unlink(path));
	assert_false(passwdfile_find(&f, STR("bob"), &a));
}

/* Nobody's process carries the list of all users. */
static void
test_children_do_not_have_it(void **state)
{
	struct passwdfile f = { .path = path, .order_path = order };
	struct account a;
	unsigned char seen;
	(void)state;
	write_file(path, STR("bob:x:1001:1::/a:/s\n"));
	let_it_age();
	assert_true(passwdfile_find(&f, STR("bob"), &a));
	pid_t pid = fork();
	if (pid == 0) {
		char *page =
		    f.space - (uintptr_t)f.space % (size_t)getpagesize();
		_exit(mincore(page, 1, &seen) < 0 ? 0 : 1);
	}
	int status;
	assert_int_equal(pid, waitpid(pid, &status, 0));
	assert_int_equal(0, status);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_finds_as_getpwnam),
		cmocka_unit_test(test_changes_are_seen),
		cmocka_unit_test(test_children_do_not_have_it),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
