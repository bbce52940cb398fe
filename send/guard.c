/* SPDX-License-Identifier: ISC
 * guard: contract in guard.h.
 */
#include "send/guard.h"

#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "common/die.h"
#include "common/privs.h"
#include "common/str.h"

/* Nothing here works for an ordinary user anyway, but ptrace and its kin, user
 * name spaces, keyrings, bpf and io_uring: those are what attacks on the kernel
 * and on neighbours start with. */
static const int refused[] = {
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(process_madvise),
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(kcmp),
	SCMP_SYS(unshare),
	SCMP_SYS(setns),
	SCMP_SYS(mount),
	SCMP_SYS(umount2),
	SCMP_SYS(pivot_root),
	SCMP_SYS(chroot),
	SCMP_SYS(move_mount),
	SCMP_SYS(open_tree),
	SCMP_SYS(fsopen),
	SCMP_SYS(fsmount),
	SCMP_SYS(fsconfig),
	SCMP_SYS(mount_setattr),
	SCMP_SYS(open_by_handle_at),
	SCMP_SYS(bpf),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(keyctl),
	SCMP_SYS(add_key),
	SCMP_SYS(request_key),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(delete_module),
	SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(reboot),
	SCMP_SYS(swapon),
	SCMP_SYS(swapoff),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(io_uring_enter),
	SCMP_SYS(io_uring_register),
	SCMP_SYS(acct),
	SCMP_SYS(settimeofday),
	SCMP_SYS(clock_settime),
	SCMP_SYS(sethostname),
	SCMP_SYS(setdomainname),
	SCMP_SYS(iopl),
	SCMP_SYS(ioperm),
	SCMP_SYS(modify_ldt),
	SCMP_SYS(vhangup),
	SCMP_SYS(syslog),
	SCMP_SYS(lookup_dcookie),
};

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

static void
refuse_calls(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	if (filter == NULL)
		die(EXITCODE_TEMPORARY, "seccomp_init", ENOMEM);
	for (size_t i = 0; i < N_ELEMENTS(refused); i++) {
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
