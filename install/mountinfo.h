/* SPDX-License-Identifier: ISC
 * mountinfo: which file system a folder is on, and whether what it has synced
 * stays (proc_pid_mountinfo(5)).  The parsing is pure.
 */
#ifndef MOUNTINFO_H
#define MOUNTINFO_H

#include "common/str.h"

struct mountinfo {
	char type[32];	   /* "ext4" */
	char options[512]; /* of the mount, a comma, of the file system */
};

enum mountinfo_trust {
	MOUNTINFO_PROVEN, /* ext4 and XFS with barriers: tests cut the power */
	MOUNTINFO_UNPROVEN,
	MOUNTINFO_BREAKS /* a power cut loses mail, or nothing can be written */
};

/* False: it cannot be told. */
bool mountinfo_of(const char *path, struct mountinfo *);
/* Reads one line; true: it is of this device, "8:1". */
bool mountinfo_line(struct str line, struct str device, struct mountinfo *);
/* *wrong: why it is not proven. */
enum mountinfo_trust mountinfo_judge(
    const struct mountinfo *, const char **wrong);

#endif
