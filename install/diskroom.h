/* SPDX-License-Identifier: ISC
 * diskroom: the room on the spool's disk, and below what queued takes no mail.
 */
#ifndef DISKROOM_H
#define DISKROOM_H

#include <stdbool.h>
#include <stdint.h>

struct diskroom {
	bool known;
	uint64_t free_mb, total_mb, floor_mb;
	bool has_inodes; /* false: the file system makes them as it goes */
	uint64_t free_inodes, total_inodes, floor_inodes;
};

/* False: it cannot be told. */
bool diskroom_read(struct diskroom *);
/* Is new mail refused? */
bool diskroom_is_over(const struct diskroom *);
/* Less than twice what is needed, or than a twentieth of the disk? */
bool diskroom_is_low(const struct diskroom *);

#endif
