/* SPDX-License-Identifier: ISC
 * Unit tests of common/io: files replaced whole or not at all, odd files
 * refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/io.h"

static int
temp_dir(char *name)
{
	assert_non_null(mkdtemp(name));
	int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void
test_replace(void **state)
{
	(void)state;
	char name[] = "/tmp/test_io.XXXXXX";
	int dir = temp_dir(name);
	char text[8];
	assert_int_equal(io_replace_file(dir, "f", STR("one"), 0640), 0);
	assert_int_equal(io_replace_file(dir, "f", STR("two!"), 0640), 0);
	assert_int_equal(io_read_file(dir, "f", text, sizeof(text)), 4);
	assert_memory_equal(text, "two!", 4);
	struct stat st;
	assert_int_equal(fstatat(dir, "f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(io_read_file(dir, "f", text, 4), 4);
	assert_int_equal(io_read_file(dir, "f", text, 3), -1);
	assert_int_equal(errno, EFBIG);
	/* what a writer left that was killed goes with the next one */
	int left = openat(dir, ".f.new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(left >= 0);
	close(left);
	assert_int_equal(io_replace_file(dir, "f", STR("two!"), 0640), 0);
	/* a directory in the way: an error, and no temporary file stays */
	assert_int_equal(mkdirat(dir, "d", 0700), 0);
	assert_int_equal(io_replace_file(dir, "d", STR("x"), 0600), -1);
	assert_int_equal(unlinkat(dir, "f", 0), 0);
	assert_int_equal(unlinkat(dir, "d", AT_REMOVEDIR), 0);
	close(dir);
	assert_int_equal(rmdir(name), 0); /* empty: nothing left over */
}

static void
test_odd_files(void **state)
{
	(void)state;
	char name[] = "/tmp/test_io.XXXXXX";
	int dir = temp_dir(name);
	char text[8];
	assert_int_equal(io_read_file(dir, "none", text, sizeof(text)), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(symlinkat("/etc/passwd", dir, "link"), 0);
	assert_int_equal(io_read_file(dir, "link", text, sizeof(text)), -1);
	assert_int_equal(errno, ELOOP);
	assert_int_equal(mkfifoat(dir, "fifo", 0600), 0); /* must not block */
	assert_int_equal(io_read_file(dir, "fifo", text, sizeof(text)), -1);
	assert_int_equal(errno, EINVAL);
	unlinkat(dir, "link", 0);
	unlinkat(dir, "fifo", 0);
	close(dir);
	assert_int_equal(rmdir(name), 0);
}

static void
test_wait(void **state)
{
	(void)state;
	int pair[2];
	assert_int_equal(io_pair(SOCK_STREAM, pair), 0);
	assert_int_equal(io_wait(pair[0], false, 1), 0);
	assert_int_equal(io_wait(pair[0], true, 0), 1);
	assert_int_equal(io_write_all(pair[1], STR("x")), 0);
	assert_int_equal(io_wait(pair[0], false, 1000), 1);
	assert_int_equal(io_nonblock(pair[0], true), 0);
	char c[2];
	assert_int_equal(read(pair[0], c, 2), 1);
	assert_int_equal(read(pair[0], c, 2), -1);
	assert_int_equal(errno, EAGAIN);
	io_close(&pair[0]);
	assert_int_equal(pair[0], -1);
	io_close(&pair[0]);
	io_close(&pair[1]);
}

static void
test_offsets(void **state)
{
	(void)state;
	char name[] = "/tmp/test_io.XXXXXX";
	int fd = mkstemp(name);
	assert_true(fd >= 0);
	unlink(name);
	char text[8];
	assert_int_equal(io_pwrite_all(fd, STR("hello"), 3), 0);
	assert_int_equal(io_pread_all(fd, text, sizeof(text), 3), 5);
	assert_memory_equal(text, "hello", 5);
	assert_int_equal(io_pread_all(fd, text, 2, 100), 0);
	close(fd);
	assert_int_equal(io_pread_all(fd, text, 2, 0), -1);
	assert_int_equal(errno, EBADF);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replace),
		cmocka_unit_test(test_odd_files),
		cmocka_unit_test(test_wait),
		cmocka_unit_test(test_offsets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
