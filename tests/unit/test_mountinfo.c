/* SPDX-License-Identifier: ISC
 * mountinfo.c: lines of /proc/self/mountinfo, and what is made of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "install/mountinfo.h"

static void
lines(void **state)
{
	static const struct {
		const char *line, *type, *options; /* NULL: not this device */
	} table[] = {
		{ "36 35 8:1 / / rw,noatime shared:1 - ext4 /dev/sda1 rw",
		    "ext4", "rw,noatime,rw" },
		{ "36 35 8:1 / / rw shared:1 master:2 - xfs /dev/sda1 rw,a=b",
		    "xfs", "rw,rw,a=b" },
		{ "36 35 8:1 / / rw - tmpfs tmpfs rw", "tmpfs", "rw,rw" },
		{ "36 35 8:11 / / rw - ext4 /dev/sda1 rw", NULL, NULL },
		{ "36 35 8:1", NULL, NULL },
		{ "36 35 8:1 / / rw", NULL, NULL },
		{ "", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(table); i++) {
		struct mountinfo m;
		bool found =
		    mountinfo_line(str_of(table[i].line), STR("8:1"), &m);
		assert_int_equal(found, table[i].type != NULL);
		if (!found)
			continue;
		assert_string_equal(m.type, table[i].type);
		assert_string_equal(m.options, table[i].options);
	}
}

static void
judgements(void **state)
{
	static const struct {
		struct mountinfo m;
		enum mountinfo_trust trust;
	} table[] = {
		{ { "ext4", "rw,noatime,rw" }, MOUNTINFO_PROVEN },
		{ { "xfs", "rw,relatime,rw,attr2" }, MOUNTINFO_PROVEN },
		{ { "ext4", "rw,rw,nobarrier" }, MOUNTINFO_BREAKS },
		{ { "ext4", "rw,rw,barrier=0" }, MOUNTINFO_BREAKS },
		{ { "ext4", "rw,rw,data=writeback" }, MOUNTINFO_UNPROVEN },
		{ { "ext4", "ro,rw" }, MOUNTINFO_BREAKS },
		{ { "tmpfs", "rw,rw" }, MOUNTINFO_BREAKS },
		{ { "btrfs", "rw,rw" }, MOUNTINFO_UNPROVEN },
		{ { "nfs4", "rw,rw" }, MOUNTINFO_UNPROVEN },
		{ { "ext4", "rw,errors=remount-ro" }, MOUNTINFO_PROVEN },
	};
	const char *wrong;

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(table); i++) {
		enum mountinfo_trust t = mountinfo_judge(&table[i].m, &wrong);
		assert_int_equal(t, table[i].trust);
		assert_int_equal(strlen(wrong) == 0, t == MOUNTINFO_PROVEN);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(judgements),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
