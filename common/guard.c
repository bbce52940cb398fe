/* SPDX-License-Identifier: ISC
 * guard: contract in guard.h.
 */
#include "common/guard.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "common/die.h"
#include "common/filter.h"
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
	static struct filter_row rows[FILTER_ROWS];
	size_t n = sandbox_kernel_call_count;
	if (n > FILTER_ROWS)
		bug("too many calls are refused");
	for (size_t i = 0; i < n; i++)
		rows[i] = (struct filter_row){ .nr = sandbox_kernel_calls[i],
			.action = SECCOMP_RET_ERRNO | EPERM };
	filter_enter(rows, n, SECCOMP_RET_ALLOW);
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
