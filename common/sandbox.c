/* SPDX-License-Identifier: ISC
 * sandbox: contract in sandbox.h.  Landlock's system calls and constants are
 * spelled out here because Debian 12's headers know only its second version.
 */
#include "common/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "common/die.h"
#include "common/filter.h"
#include "common/log.h"
#include "common/privs.h"

static const char *sandbox_role = "?";
static unsigned landlock_version;

/* What any program needs between its first byte and its end. */
static const struct sandbox_rule base[] = {
	ALLOW(read, "descriptors it holds"),
	ALLOW(write, "descriptors it holds; the log"),
	ALLOW(close, "descriptors it holds"),
	ALLOW(exit, "end"),
	ALLOW(exit_group, "end"),
	ALLOW(rt_sigreturn, "return from a signal handler"),
	ALLOW(rt_sigprocmask, "abort"),
	ALLOW(restart_syscall, "a wait goes on after a stop"),
	ALLOW(clock_gettime, "where the vDSO has no clock"),
	ALLOW(getpid, "abort"),
	ALLOW(gettid, "abort"),
	ALLOW_IF(fcntl, 2, F_GETFL, "a new link becomes non-blocking"),
	ALLOW_IF(fcntl, 2, F_SETFL, "a new link becomes non-blocking"),
	ALLOW(uname, "the host's name, when control/me is missing"),
#if defined(__SANITIZE_ADDRESS__) || defined(POSTERN_SANITIZED)
	/* what the sanitizers' run time needs, in such builds only */
	ALLOW(mmap, "asan"),
	ALLOW(munmap, "asan"),
	ALLOW(mprotect, "asan"),
	ALLOW(madvise, "asan"),
	ALLOW(brk, "asan"),
	ALLOW(mremap, "asan"),
	ALLOW(futex, "asan"),
	ALLOW(sched_yield, "asan"),
	ALLOW(sigaltstack, "asan"),
	ALLOW(readlink, "asan"),
	ALLOW(getrlimit, "asan"),
#endif
};

/* Calls that no parser of a stranger's bytes has any business with: one of them
 * means that the process is no longer ours.  So do the kernel calls below. */
static const int dangerous[] = {
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(fork),
	SCMP_SYS(vfork),
	SCMP_SYS(clone),
	SCMP_SYS(kill),
	SCMP_SYS(tkill),
	SCMP_SYS(tgkill),
	SCMP_SYS(rt_sigqueueinfo),
	SCMP_SYS(rt_tgsigqueueinfo),
	SCMP_SYS(pidfd_open),
	SCMP_SYS(pidfd_send_signal),
	SCMP_SYS(prlimit64),
	SCMP_SYS(setrlimit),
	SCMP_SYS(socket),
	SCMP_SYS(socketpair),
	SCMP_SYS(connect),
	SCMP_SYS(bind),
	SCMP_SYS(listen),
	SCMP_SYS(accept),
	SCMP_SYS(accept4),
	SCMP_SYS(open),
	SCMP_SYS(openat),
	SCMP_SYS(openat2),
	SCMP_SYS(creat),
	SCMP_SYS(rename),
	SCMP_SYS(renameat),
	SCMP_SYS(renameat2),
	SCMP_SYS(link),
	SCMP_SYS(linkat),
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	SCMP_SYS(symlink),
	SCMP_SYS(symlinkat),
	SCMP_SYS(mkdir),
	SCMP_SYS(mkdirat),
	SCMP_SYS(rmdir),
	SCMP_SYS(mknod),
	SCMP_SYS(mknodat),
	SCMP_SYS(chmod),
	SCMP_SYS(fchmod),
	SCMP_SYS(fchmodat),
	SCMP_SYS(chown),
	SCMP_SYS(fchown),
	SCMP_SYS(fchownat),
	SCMP_SYS(lchown),
	SCMP_SYS(truncate),
	SCMP_SYS(setuid),
	SCMP_SYS(setgid),
	SCMP_SYS(setreuid),
	SCMP_SYS(setregid),
	SCMP_SYS(setresuid),
	SCMP_SYS(setresgid),
	SCMP_SYS(setfsuid),
	SCMP_SYS(setfsgid),
	SCMP_SYS(setgroups),
	SCMP_SYS(capset),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(seccomp),
	SCMP_SYS(personality),
	SCMP_SYS(quotactl),
	SCMP_SYS(adjtimex),
};

const int sandbox_kernel_calls[] = {
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
const size_t sandbox_kernel_call_count = N_ELEMENTS(sandbox_kernel_calls);

/* ---- the handler ---- */

static void
on_forbidden(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	LOG(ERROR, "forbidden-call", F_TEXT("in", sandbox_role),
	    F_NUM("syscall", info->si_syscall));
	_exit(EXITCODE_SANDBOX);
}

static void
catch_forbidden(void)
{
	struct sigaction sa = { .sa_sigaction = on_forbidden,
		.sa_flags = SA_SIGINFO };
	sigemptyset(&sa.sa_mask);
	if (sigaction(SIGSYS, &sa, NULL) < 0)
		die(EXITCODE_TEMPORARY, "sigaction", errno);
}

/* ---- Landlock (Documentation/userspace-api/landlock.rst of Linux) ---- */

enum {
	LANDLOCK_VERSION_FLAG = 1,
	LANDLOCK_PATH_RULE = 1,
	FS_EXECUTE = 1 << 0,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_REMOVE_DIR = 1 << 4,
	FS_REMOVE_FILE = 1 << 5,
	FS_MAKE_DIR = 1 << 7,
	FS_MAKE_REG = 1 << 8,
	FS_ALL_V1 = (1 << 13) - 1,
	FS_REFER = 1 << 13,
	FS_TRUNCATE = 1 << 14,
	FS_IOCTL_DEV = 1 << 15,
	NET_BIND = 1 << 0,
	NET_CONNECT = 1 << 1,
	SCOPE_ABSTRACT_AND_SIGNAL = 3
};

struct ruleset {
	uint64_t fs, net, scoped;
};

struct __attribute__((packed)) path_rule {
	uint64_t allowed;
	int32_t parent_fd;
};

static struct ruleset
ruleset_for(long abi, const struct sandbox *s, size_t *size)
{
	struct ruleset r = { .fs = FS_ALL_V1 };
	*size = sizeof(r.fs);
	if (abi >= 2)
		r.fs |= FS_REFER;
	if (abi >= 3)
		r.fs |= FS_TRUNCATE;
	if (abi >= 4) {
		r.net = s->connects ? NET_BIND : NET_BIND | NET_CONNECT;
		*size = sizeof(r.fs) + sizeof(r.net);
	}
	if (abi >= 5)
		r.fs |= FS_IOCTL_DEV;
	if (abi >= 6) {
		r.scoped = SCOPE_ABSTRACT_AND_SIGNAL;
		*size = sizeof(r);
	}
	return r;
}

static void
allow_dir(int ruleset_fd, const struct sandbox_dir *d, uint64_t handled)
{
	uint64_t wanted = FS_READ_FILE | FS_READ_DIR;
	if (d->write)
		wanted |= FS_WRITE_FILE | FS_REMOVE_DIR | FS_REMOVE_FILE |
			  FS_MAKE_DIR | FS_MAKE_REG | FS_REFER | FS_TRUNCATE;
	struct path_rule rule = { .allowed = wanted & handled,
		.parent_fd = d->fd };
	if (syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_PATH_RULE,
		&rule, 0) < 0)
		die(EXITCODE_TEMPORARY, "landlock_add_rule", errno);
}

void
sandbox_enter_dirs(const struct sandbox *s)
{
	long abi = syscall(
	    SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION_FLAG);
	if (abi < 1) {
		if (!s->silent)
			LOG(WARN, "no-landlock", F_ERRNO(errno));
		return;
	}
	size_t size;
	struct ruleset r = ruleset_for(abi, s, &size);
	int fd = (int)syscall(SYS_landlock_create_ruleset, &r, size, 0);
	if (fd < 0)
		die(EXITCODE_TEMPORARY, "landlock_create_ruleset", errno);
	for (size_t i = 0; i < s->dir_count; i++)
		if (s->dirs[i].fd >= 0)
			allow_dir(fd, &s->dirs[i], r.fs);
	if (syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		die(EXITCODE_TEMPORARY, "landlock_restrict_self", errno);
	close(fd);
	landlock_version = (unsigned)abi;
}

unsigned
sandbox_landlock(void)
{
	return landlock_version;
}

/* ---- limits and memory ---- */

/* RLIMIT_FSIZE holds for every regular file, the log too: where stderr is one,
 * the limit is left off, and what keeps the role from growing files is that it
 * cannot open any. */
static void
limit_files(uint64_t max_file)
{
	struct stat st;
	if (fstat(STDERR_FILENO, &st) == 0 && S_ISREG(st.st_mode))
		return;
	struct rlimit limit = { .rlim_cur = max_file, .rlim_max = max_file };
	if (signal(SIGXFSZ, SIG_IGN) == SIG_ERR ||
	    setrlimit(RLIMIT_FSIZE, &limit) < 0)
		die(EXITCODE_TEMPORARY, "RLIMIT_FSIZE", errno);
}

static void
limit_memory(void)
{
	struct rlimit none = { .rlim_cur = 0, .rlim_max = 0 };
	if (setrlimit(RLIMIT_CORE, &none) < 0)
		die(EXITCODE_TEMPORARY, "RLIMIT_CORE", errno);
#if !defined(__SANITIZE_ADDRESS__) && !defined(POSTERN_SANITIZED)
	enum { SET_MDWE = 65, REFUSE_EXEC_GAIN = 1 };
	/* Linux 6.3; older kernels say EINVAL */
	if (prctl(SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0) < 0 && errno != EINVAL)
		die(EXITCODE_TEMPORARY, "PR_SET_MDWE", errno);
#endif
}

/* ---- seccomp ---- */

static bool
has_rule(const struct sandbox *s, int nr)
{
	for (size_t i = 0; i < s->rule_count; i++)
		if (s->rules[i].nr == nr)
			return true;
	for (size_t i = 0; i < N_ELEMENTS(base); i++)
		if (base[i].nr == nr)
			return true;
	return false;
}

static size_t
add_rules(struct filter_row *to, const struct sandbox_rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++)
		to[i] = (struct filter_row){ .nr = rules[i].nr,
			.arg = rules[i].arg,
			.value = rules[i].value,
			.action = SECCOMP_RET_ALLOW };
	return count;
}

/* What the role lists is no trap. */
static size_t
add_traps(struct filter_row *to, const struct sandbox *s, const int *calls,
    size_t count)
{
	size_t n = 0;
	for (size_t i = 0; i < count; i++)
		if (!has_rule(s, calls[i]))
			to[n++] = (struct filter_row){ .nr = calls[i],
				.action = SECCOMP_RET_TRAP };
	return n;
}

static void
enter_seccomp(const struct sandbox *s)
{
	static struct filter_row rows[FILTER_ROWS];
	if (N_ELEMENTS(base) + s->rule_count + N_ELEMENTS(dangerous) +
		sandbox_kernel_call_count >
	    FILTER_ROWS)
		bug("a sandbox of too many rows");
	size_t n = add_rules(rows, base, N_ELEMENTS(base));
	n += add_rules(rows + n, s->rules, s->rule_count);
	n += add_traps(rows + n, s, dangerous, N_ELEMENTS(dangerous));
	n += add_traps(
	    rows + n, s, sandbox_kernel_calls, sandbox_kernel_call_count);
	filter_enter(rows, n, SECCOMP_RET_ERRNO | ENOSYS);
}

void
sandbox_enter(const struct sandbox *s)
{
	sandbox_role = s->role;
	if (s->role == NULL || s->rule_count == 0)
		bug("a sandbox without a table");
	privs_lock();
	if (!s->execs) {
		limit_files(s->max_file);
		limit_memory();
		if (!s->dirs_later)
			sandbox_enter_dirs(s);
	}
	catch_forbidden();
	enter_seccomp(s);
}
