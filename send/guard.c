/* SPDX-License-Identifier: ISC
 * guard: contract in guard.h.
 */
#include "send/guard.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "common/die.h"
#include "common/privs.h"
#include "common/sandbox.h"

static void
drop_capabilities(void)
{
	enum { HIGHEST = 63 };
	/* EPERM: start has given that right away already.  It matters little:
	 * with no_new_privs no program gains what is in the bounding set */
	for (unsigned long c = 0; c <= HIGHEST; c++)
		if (c != CAP_SETUID && c != CAP_SETGID &&
		    prctl(PR_CAPBSET_DROP, c, 0, 0, 0) < 0 && errno != EINVAL &&
		    errno != EPERM)
			die(EXITCODE_TEMPORARY, "PR_CAPBSET_DROP", errno);
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3
	};
	const uint32_t keep = 1U << CAP_SETUID | 1U << CAP_SETGID;
	struct __user_cap_data_struct data[2] = {
		{ .effective = keep, .permitted = keep }, { .effective = 0 }
	};
	if (syscall(SYS_capset, &head, data) < 0)
		die(EXITCODE_TEMPORARY, "capset", errno);
}

/* Little of this works for an ordinary user anyway. */
static void
refuse_calls(void)
{
	const int *refused = sandbox_kernel_calls;
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	if (filter == NULL)
		die(EXITCODE_TEMPORARY, "seccomp_init", ENOMEM);
	for (size_t i = 0; i < sandbox_kernel_call_count; i++) {
		if (refused[i] < 0)
			continue; /* not a call of this architecture */
		int e = seccomp_rule_add(
		    filter, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
		if (e < 0)
			die(EXITCODE_TEMPORARY, "seccomp_rule_add", -e);
	}
	int e = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (e == 0)
		e = seccomp_load(filter);
	if (e < 0)
		die(EXITCODE_TEMPORARY, "seccomp_load", -e);
	seccomp_release(filter);
}

void
guard_enter(void)
{
	struct rlimit none = { .rlim_cur = 0, .rlim_max = 0 };
	if (setrlimit(RLIMIT_CORE, &none) < 0)
		die(EXITCODE_TEMPORARY, "RLIMIT_CORE", errno);
	if (geteuid() == 0)
		drop_capabilities();
	privs_lock();
	refuse_calls();
}
