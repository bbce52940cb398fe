/* SPDX-License-Identifier: ISC
 * diskroom: contract in diskroom.h.
 */
#include "install/diskroom.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/statvfs.h>
#include "common/control.h"
#include "common/io.h"
#include "common/layout.h"

static void
ignore(const char *file, unsigned line, const char *what)
{
	(void)file;
	(void)line;
	(void)what; /* postern check tells */
}

/* The settings, or nothing where they cannot be read. */
static void
floors_read(struct diskroom *d)
{
	int dir = open(
	    layout_path(LAYOUT_CONTROL), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return;
	control_on_mistake(ignore);
	(void)control_number(dir, "spoolfloormb", &d->floor_mb);
	(void)control_number(dir, "spoolfloorinodes", &d->floor_inodes);
	control_on_mistake(NULL);
	io_close(&dir);
}

bool
diskroom_read(struct diskroom *d)
{
	struct statvfs v;

	*d = (struct diskroom){ .known = false };
	if (statvfs(layout_path(LAYOUT_SPOOL), &v) < 0)
		return false;
	d->known = true;
	d->free_mb = (uint64_t)v.f_bavail * v.f_frsize >> 20;
	d->total_mb = (uint64_t)v.f_blocks * v.f_frsize >> 20;
	d->has_inodes = v.f_files > 0;
	d->free_inodes = v.f_favail;
	d->total_inodes = v.f_files;
	floors_read(d);
	return true;
}

bool
diskroom_is_over(const struct diskroom *d)
{
	return d->known &&
	       (d->free_mb < d->floor_mb ||
		   (d->has_inodes && d->free_inodes < d->floor_inodes));
}

bool
diskroom_is_low(const struct diskroom *d)
{
	return d->known &&
	       (d->free_mb < 2 * d->floor_mb || d->free_mb < d->total_mb / 20 ||
		   (d->has_inodes &&
		       (d->free_inodes < 2 * d->floor_inodes ||
			   d->free_inodes < d->total_inodes / 20)));
}
