/* SPDX-License-Identifier: ISC
 * Unit tests of common/control: defaults, bounds, broken files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/control.h"
#include "common/io.h"

static char dir_name[] = "/tmp/test_control.XXXXXX";
static int dir;

static int
setup(void **state)
{
	(void)state;
	if (mkdtemp(dir_name) == NULL)
		return -1;
	dir = open(dir_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? -1 : 0;
}

static int
teardown(void **state)
{
	(void)state;
	close(dir);
	return rmdir(dir_name);
}

static void
put(const char *name, struct str content)
{
	assert_int_equal(io_replace_file(dir, name, content, 0600), 0);
}

static void
test_numbers(void **state)
{
	(void)state;
	uint64_t v = 1;
	assert_int_equal(control_number(dir, "databytes", &v), 0);
	assert_int_equal(v, 52428800);
	static const struct {
		struct str content;
		int result;
		uint64_t v;
	} cases[] = {
		{ { "1000\n", 5 }, 0, 1000 },
		{ { " 7 \nsecond line\n", 16 }, 0, 7 },
		{ { "", 0 }, 0, 52428800 }, /* empty: the default */
		{ { "-1\n", 3 }, -1, 0 },
		{ { "10MB\n", 5 }, -1, 0 },
		{ { "99999999999999999999\n", 21 }, -1, 0 },
		{ { "1\0\n", 3 }, -1, 0 },
	};
	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		put("databytes", cases[i].content);
		v = 0;
		assert_int_equal(
		    control_number(dir, "databytes", &v), cases[i].result);
		assert_int_equal(v, cases[i].v);
	}
	unlinkat(dir, "databytes", 0);
}

static void
test_lines(void **state)
{
	(void)state;
	char text[64];
	struct buf b = BUF_ON(text);
	assert_int_equal(control_line(dir, "me", &b), 0);
	assert_true(b.n > 0); /* the host's name */
	put("me", STR("mx.hamburger.edu\n"));
	assert_int_equal(control_line(dir, "postmaster", &b), 0);
	assert_string_equal(buf_cstr(&b), "postmaster@mx.hamburger.edu");
	assert_int_equal(control_line(dir, "helohost", &b), 0);
	assert_string_equal(buf_cstr(&b), "mx.hamburger.edu");
	struct buf tiny = { .p = text, .cap = 4 };
	assert_int_equal(control_line(dir, "me", &tiny), -1);
	unlinkat(dir, "me", 0);
	assert_int_equal(mkdirat(dir, "me", 0700), 0);
	assert_int_equal(control_line(dir, "me", &b), -1);
	assert_int_equal(unlinkat(dir, "me", AT_REMOVEDIR), 0);
}

static const char *
collect(void *arg, struct str line, unsigned number)
{
	struct buf *b = arg;
	buf_put_u64(b, number);
	buf_putc(b, '=');
	buf_put(b, line);
	buf_putc(b, ';');
	return str_eq(line, STR("bad")) ? "not a good line" : NULL;
}

static void
test_lists(void **state)
{
	(void)state;
	char text[128];
	struct buf b = BUF_ON(text);
	assert_int_equal(control_list(dir, "rcpthosts", collect, &b), 0);
	assert_int_equal(b.n, 0);
	put("me", STR("here\n"));
	assert_int_equal(control_list(dir, "locals", collect, &b), 0);
	assert_string_equal(buf_cstr(&b), "1=here;");
	put("locals", STR("# ours\n\n a.example \nb.example"));
	buf_reset(&b);
	assert_int_equal(control_list(dir, "locals", collect, &b), 0);
	assert_string_equal(buf_cstr(&b), "3=a.example;4=b.example;");
	put("locals", STR("bad\ngood\nbad\n"));
	buf_reset(&b);
	assert_int_equal(control_list(dir, "locals", collect, &b), -1);
	assert_string_equal(buf_cstr(&b), "1=bad;2=good;3=bad;");
	unlinkat(dir, "locals", 0);
	unlinkat(dir, "me", 0);
}

static void
test_table_is_sound(void **state)
{
	(void)state;
	for (size_t i = 0; i < control_setting_count; i++) {
		const struct control_setting *s = &control_settings[i];
		assert_ptr_equal(control_find(s->name), s);
		assert_non_null(s->help);
		uint64_t v;
		if (s->kind == CONTROL_NUMBER)
			assert_int_equal(control_number(dir, s->name, &v), 0);
	}
	assert_null(control_find("nonsense"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_table_is_sound),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
