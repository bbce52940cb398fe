/* SPDX-License-Identifier: ISC
 * Unit tests of pop3d/name: what Maildir file names say, and unique-ids.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "pop3d/name.h"

static const struct {
	const char *name;
	bool has_wire, has_file;
	uint64_t wire, file;
} sizes[] = {
	{ "1.M1P2.host,S=100,W=104", true, true, 104, 100 },
	{ "1.M1P2.host,S=100,W=104:2,S", true, true, 104, 100 },
	{ "1.M1P2.host,W=104,S=100:2,", true, true, 104, 100 },
	{ "1.M1P2.host,W=104", true, false, 104, 0 },
	{ "1.M1P2.host,S=100", false, true, 0, 100 },
	{ "1.M1P2.host,S=100,W=100", true, true, 100, 100 },
	{ "1.M1P2.host,S=100,W=99", false, true, 0, 100 },
	{ "1.M1P2.host,S=100,W=202", true, true, 202, 100 },
	{ "1.M1P2.host,S=100,W=203", false, true, 0, 100 },
	{ "1.M1P2.host,S=0,W=0", true, true, 0, 0 },
	{ "1.M1P2.host,S=100,W=", false, true, 0, 100 },
	{ "1.M1P2.host,S=100,W=1x4", false, true, 0, 100 },
	{ "1.M1P2.host,S=100,W=-104", false, true, 0, 100 },
	{ "1.M1P2.host,S=100,W=99999999999999999999", false, true, 0, 100 },
	{ "1.M1P2.host,S=x,W=104", true, false, 104, 0 },
	{ "1.M1P2.host:2,S=5,W=6", false, false, 0, 0 },
	{ "1.M1P2.host", false, false, 0, 0 },
	{ ",W=7", true, false, 7, 0 },
	{ "W=7", false, false, 0, 0 },
	{ "", false, false, 0, 0 },
};

static void
reads_sizes(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(sizes); i++) {
		struct str name = str_of(sizes[i].name);
		uint64_t wire = 0, file = 0;
		bool w = name_wire_octets(name, &wire);
		bool f = name_file_octets(name, &file);
		if (w != sizes[i].has_wire || f != sizes[i].has_file)
			fail_msg("%s", sizes[i].name);
		assert_int_equal(wire, sizes[i].wire);
		if (f)
			assert_int_equal(file, sizes[i].file);
	}
}

static void
reads_times(void **state)
{
	(void)state;
	assert_int_equal(name_time(STR("1700000000.M1P2.h")), 1700000000);
	assert_int_equal(name_time(STR("7")), 7);
	assert_true(name_time(STR("x7")) == UINT64_MAX);
	assert_true(name_time(STR("")) == UINT64_MAX);
	assert_true(name_time(STR("99999999999999999999999.x")) == UINT64_MAX);
}

static void
uid_of(struct str name, char *text, size_t cap)
{
	struct buf b = { .p = text, .n = 0, .cap = cap - 1, .full = false };
	name_put_uid(&b, name_unique(name));
	assert_false(b.full);
	assert_true(b.n >= 1 && b.n <= NAME_UID_MAX);
	for (size_t i = 0; i < b.n; i++)
		assert_true(text[i] >= 0x21 && text[i] <= 0x7e);
	text[b.n] = '\0';
}

static void
uids_are_allowed_and_stable(void **state)
{
	(void)state;
	char a[128], b[128];
	/* moved from new/ to cur/, flags changed */
	uid_of(STR("1.M1P2.host,S=1,W=2"), a, sizeof(a));
	uid_of(STR("1.M1P2.host,S=1,W=2:2,RS"), b, sizeof(b));
	assert_string_equal(a, b);
	assert_string_equal(a, "1.M1P2.host,S=1,W=2");
	/* a space, 8-bit, too long, nothing */
	uid_of(STR("1.M1 P2.host"), a, sizeof(a));
	uid_of(STR("1.M1 P2.host:2,S"), b, sizeof(b));
	assert_string_equal(a, b);
	assert_int_equal(strlen(a), 33);
	uid_of(STR("1.M1 P3.host"), b, sizeof(b));
	assert_string_not_equal(a, b);
	uid_of(STR("1.\xc3\xbc"), a, sizeof(a));
	uid_of(STR(":2,S"), a, sizeof(a));
	char longname[255];
	memset(longname, 'x', sizeof(longname));
	uid_of((struct str){ longname, 70 }, a, sizeof(a));
	assert_int_equal(strlen(a), 70);
	uid_of((struct str){ longname, 71 }, a, sizeof(a));
	assert_int_equal(strlen(a), 33);
	uid_of((struct str){ longname, 255 }, b, sizeof(b));
	assert_string_not_equal(a, b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_sizes),
		cmocka_unit_test(reads_times),
		cmocka_unit_test(uids_are_allowed_and_stable),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
