/* SPDX-License-Identifier: ISC
 * hashd: see the header.  Runs as posternu.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sodium.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/die.h"
#include "common/filter.h"
#include "common/io.h"
#include "common/log.h"
#include "common/packet.h"
#include "common/sandbox.h"
#include "common/template.h"
#include "common/verdict.h"
#include "users/hashd.h"

static const struct sandbox_rule keeper_rules[] = {
	ALLOW_HEAP,
	ALLOW_IF(clone, 1, 0x01200011, "fork: a worker in a dead one's place"),
	ALLOW(set_robust_list, "libc, in the child after fork"),
	ALLOW(wait4, "see a worker end"),
	ALLOW_IF(socketpair, 1, AF_UNIX, "a worker's socket"),
	ALLOW(sendmsg, "hand the socket to userd"),
	ALLOW(close_range, "a worker drops the keeper's descriptors"),
	ALLOW_IF(setrlimit, 1, RLIMIT_NPROC, "a worker gives up fork"),
	ALLOW_IF(seccomp, 1, SECCOMP_SET_MODE_FILTER, "a worker's own filter"),
	ALLOW(clock_nanosleep, "no haste when workers die at once"),
};

/* The worker's own filter, on top of the keeper's. */
static const int worker_calls[] = {
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(mmap),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(brk),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
#if defined(__SANITIZE_ADDRESS__) || defined(POSTERN_SANITIZED)
	/* what the sanitizers' run time needs, in such builds only */
	SCMP_SYS(mprotect),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(sched_yield),
	SCMP_SYS(readlink),
	SCMP_SYS(getrlimit),
#endif
};

static const struct sandbox keeper_sandbox = { .role = "userd-hash",
	.rules = keeper_rules,
	.rule_count = N_ELEMENTS(keeper_rules) };

static struct sock_filter filter[FILTER_CODE];
static struct sock_fprog program = { .filter = filter };

/* ---- worker ---- */

/* Translates worker_calls once, before the keeper's own filter. */
static void
filter_make(void)
{
	struct filter_row rows[N_ELEMENTS(worker_calls)];
	for (size_t i = 0; i < N_ELEMENTS(worker_calls); i++)
		rows[i] = (struct filter_row){ .nr = worker_calls[i],
			.action = SECCOMP_RET_ALLOW };
	program.len = (unsigned short)filter_build(
	    rows, N_ELEMENTS(rows), SECCOMP_RET_ERRNO | ENOSYS, filter);
	if (program.len == 0)
		bug("a seccomp filter does not fit");
}

/* libsodium says EINVAL for a wrong password, else what went wrong. */
static enum verdict
check(struct str request, char *hash, char *password)
{
	struct packet p = packet_open(request);
	struct str h = packet_get_str(&p, crypto_pwhash_STRBYTES - 1);
	struct str w = packet_get_str(&p, LIMIT_PASSWORD);
	if (!packet_end(&p) || p.type != 'V' || h.n == 0)
		return VERDICT_FAIL;
	memset(hash, 0, crypto_pwhash_STRBYTES);
	memcpy(hash, h.p, h.n);
	memcpy(password, w.p, w.n);
	errno = 0;
	if (crypto_pwhash_str_verify(hash, password, w.n) == 0)
		return VERDICT_OK;
	return errno == ENOMEM ? VERDICT_DEFER : VERDICT_FAIL;
}

static _Noreturn void
worker(int fd)
{
	static char request[HASHD_PACKET], hash[crypto_pwhash_STRBYTES],
	    password[LIMIT_PASSWORD + 1];
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		die(EXITCODE_TEMPORARY, "seccomp of a hash worker", errno);
	for (;;) {
		ssize_t n = read(fd, request, sizeof(request));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(EXITCODE_DONE);
		char answer = (char)check(
		    (struct str){ request, (size_t)n }, hash, password);
		sodium_memzero(request, sizeof(request));
		sodium_memzero(password, sizeof(password));
		sodium_memzero(hash, sizeof(hash));
		if (write(fd, &answer, 1) != 1)
			_exit(EXITCODE_DONE);
	}
}

/* ---- keeper ---- */

static void
start_worker(int link)
{
	int fds[2];
	if (io_pair(SOCK_SEQPACKET, fds) < 0)
		die(EXITCODE_TEMPORARY, "socketpair", errno);
	int pid = template_fork(&fds[1], 1);
	if (pid == 0)
		worker(fds[1]);
	if (pid < 0)
		die(EXITCODE_TEMPORARY, "fork", errno);
	if (packet_send(link, STR("W"), &fds[0], 1) < 0)
		_exit(EXITCODE_DONE); /* userd has ended */
	io_close(&fds[0]);
	io_close(&fds[1]);
}

static _Noreturn void
keeper(int link)
{
	const struct timespec pause = { .tv_nsec = 200000000L };
	int64_t last = 0;
	for (unsigned live = 0;;) {
		for (; live < HASHD_WORKERS; live++)
			start_worker(link);
		int status;
		pid_t pid = waitpid(-1, &status, 0);
		if (pid < 0 && errno == EINTR)
			continue;
		if (pid < 0)
			die(EXITCODE_TEMPORARY, "waitpid", errno);
		live--;
		if (WIFSIGNALED(status))
			LOG(WARN, "hash-worker-died", F_NUM("pid", pid),
			    F_NUM("signal", WTERMSIG(status)));
		if (clock_mono_ms() - last < 1000)
			(void)nanosleep(&pause, NULL);
		last = clock_mono_ms();
	}
}

int
hashd_start(void)
{
	int fds[2];
	if (io_pair(SOCK_SEQPACKET, fds) < 0 || io_nonblock(fds[0], true) < 0)
		die(EXITCODE_TEMPORARY, "socketpair", errno);
	pid_t pid = fork();
	if (pid < 0)
		die(EXITCODE_TEMPORARY, "fork", errno);
	if (pid > 0) {
		io_close(&fds[1]);
		return fds[0];
	}
	if (dup2(fds[1], STDERR_FILENO + 1) < 0 ||
	    close_range(STDERR_FILENO + 2, ~0U, 0) < 0 ||
	    prctl(PR_SET_NAME, "userd-hash", 0, 0, 0) < 0)
		die(EXITCODE_TEMPORARY, "start of the hash keeper", errno);
	log_init("userd-hash");
	filter_make();
	sandbox_enter(&keeper_sandbox);
	keeper(STDERR_FILENO + 1);
}
