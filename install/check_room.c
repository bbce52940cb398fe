/* SPDX-License-Identifier: ISC
 * check_room: whether queued would refuse mail for want of room.  Contract in
 * check.h.
 */
#include <inttypes.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include "common/control.h"
#include "common/layout.h"
#include "install/check.h"

static void
complain(struct check *c, const char *setting, uint64_t have, const char *unit,
    uint64_t want)
{
	char text[256];

	(void)snprintf(text, sizeof(text),
	    "the spool's disk has %" PRIu64 " %s left, and below %" PRIu64
	    " no new mail is taken: make room",
	    have, unit, want);
	check_warning(c, setting, 0, text);
}

void
check_room(struct check *c, int control_dir)
{
	uint64_t floor_mb, floor_inodes;
	struct statvfs v;

	control_on_mistake(check_ignore);
	bool wrong =
	    control_number(control_dir, "spoolfloormb", &floor_mb) < 0 ||
	    control_number(control_dir, "spoolfloorinodes", &floor_inodes) < 0;
	control_on_mistake(NULL);
	if (wrong || statvfs(layout_path(LAYOUT_SPOOL), &v) < 0)
		return; /* check_places has told */
	uint64_t mb = (uint64_t)v.f_bavail * v.f_frsize >> 20;

	if (mb < floor_mb)
		complain(c, "spoolfloormb", mb, "MiB", floor_mb);
	/* f_files is 0 where the file system makes inodes as it goes */
	if (v.f_files > 0 && v.f_favail < floor_inodes)
		complain(
		    c, "spoolfloorinodes", v.f_favail, "inodes", floor_inodes);
}
