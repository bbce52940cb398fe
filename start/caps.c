/* SPDX-License-Identifier: ISC
 * caps: contract in caps.h.  Runs in postern-start, as root, before any role
 * is started.
 */
#include "start/caps.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "common/die.h"
#include "common/str.h"

/* The bounding set holds for become too, which makes mailbox folders and
 * becomes the recipient. */
static const struct {
	unsigned number;
	const char *why;
} kept[] = {
	{ CAP_SETUID, "roles and recipients get their own user" },
	{ CAP_SETGID, "and group" },
	{ CAP_KILL, "a role that does not end is killed" },
	{ CAP_CHOWN, "become: a new mailbox folder gets its owner" },
	{ CAP_DAC_OVERRIDE, "become: below folders of others" },
	{ CAP_DAC_READ_SEARCH, "the same, reading" },
	{ CAP_FOWNER, "become: modes of what it made" },
};

void
caps_reduce(void)
{
	uint64_t keep = 0;
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	struct __user_cap_data_struct data[2];

	if (geteuid() != 0)
		return;
	for (size_t i = 0; i < N_ELEMENTS(kept); i++)
		keep |= 1ULL << kept[i].number;
	for (unsigned cap = 0; cap < 64; cap++)
		if ((keep >> cap & 1) == 0 &&
		    prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1 &&
		    prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			die(EXITCODE_TEMPORARY, "PR_CAPBSET_DROP", errno);
	if (syscall(SYS_capget, &head, data) < 0)
		die(EXITCODE_TEMPORARY, "capget", errno);
	for (size_t i = 0; i < 2; i++) {
		uint32_t mask = (uint32_t)(keep >> (32 * i));
		data[i].effective &= mask;
		data[i].permitted &= mask;
		data[i].inheritable = 0;
	}
	if (syscall(SYS_capset, &head, data) < 0)
		die(EXITCODE_TEMPORARY, "capset", errno);
}
