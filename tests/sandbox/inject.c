/* SPDX-License-Identifier: ISC
 * inject PID NUMBER...: makes a live process perform system calls that it never
 * would, by ptrace from outside, and prints what came of each: "NUMBER trap"
 * (SIGSYS; taken back, so that the process lives on) or "NUMBER RESULT".
 * With --real as first argument the SIGSYS of the last one is delivered.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void
fail(const char *what)
{
	fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
	exit(111);
}

/* Runs pid to its next stop; the stop's signal, or -1 when it has ended. */
static int
next_stop(pid_t pid, enum __ptrace_request how, int signal_now)
{
	int status;
	if (ptrace(how, pid, NULL, (void *)(long)signal_now) < 0)
		fail("ptrace");
	if (waitpid(pid, &status, __WALL) < 0)
		fail("waitpid");
	return WIFSTOPPED(status) ? WSTOPSIG(status) : -1;
}

static void
attach(pid_t pid)
{
	int status;
	if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)PTRACE_O_TRACESYSGOOD) < 0)
		fail("seize");
	if (ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0)
		fail("interrupt");
	if (waitpid(pid, &status, __WALL) < 0 || !WIFSTOPPED(status))
		fail("wait");
}

/* The process waits in a system call, so the two bytes before its program
 * counter are the instruction itself. */
static void
check_at_syscall(pid_t pid, const struct user_regs_struct *regs)
{
	errno = 0;
	long word = ptrace(PTRACE_PEEKTEXT, pid, (void *)(regs->rip - 2), NULL);
	if (errno != 0 || (word & 0xffff) != 0x050f)
		fail("the process is not waiting in a system call");
}

/* Runs to the next stop at a system call's entry or exit. */
static bool
pass_stop(pid_t pid, long nr)
{
	for (int i = 0; i < 8; i++) {
		int stop = next_stop(pid, PTRACE_SYSCALL, 0);
		if (stop == (SIGTRAP | 0x80))
			return true;
		if (stop < 0)
			break;
	}
	printf("%ld ended\n", nr);
	return false;
}

static void
try_call(pid_t pid, const struct user_regs_struct *saved, long nr, bool real)
{
	struct user_regs_struct r = *saved;
	r.rip -= 2;
	r.rax = (unsigned long long)nr;
	r.orig_rax = (unsigned long long)-1;
	r.rdi = r.rsi = r.rdx = r.r10 = r.r8 = r.r9 = 0;
	if (ptrace(PTRACE_SETREGS, pid, NULL, &r) < 0)
		fail("setregs");
	/* entry and exit; a filter's SIGSYS is pending then, and comes before
	 * the next instruction */
	if (!pass_stop(pid, nr) || !pass_stop(pid, nr))
		exit(0);
	if (ptrace(PTRACE_GETREGS, pid, NULL, &r) < 0)
		fail("getregs");
	if (next_stop(pid, PTRACE_SINGLESTEP, 0) == SIGSYS) {
		printf("%ld trap\n", nr);
		if (real)
			return;
	} else {
		printf("%ld %lld\n", nr, (long long)r.rax);
	}
	struct user_regs_struct back = *saved;
	if (ptrace(PTRACE_SETREGS, pid, NULL, &back) < 0)
		fail("setregs");
}

int
main(int argc, char **argv)
{
	bool real = argc > 1 && strcmp(argv[1], "--real") == 0;
	int at = real ? 2 : 1;
	if (argc < at + 2) {
		fprintf(stderr, "usage: inject [--real] PID NUMBER...\n");
		return 100;
	}
	pid_t pid = (pid_t)strtol(argv[at], NULL, 10);
	struct user_regs_struct saved;
	attach(pid);
	if (ptrace(PTRACE_GETREGS, pid, NULL, &saved) < 0)
		fail("getregs");
	check_at_syscall(pid, &saved);
	for (int i = at + 1; i < argc; i++)
		try_call(pid, &saved, strtol(argv[i], NULL, 10),
		    real && i == argc - 1);
	/* the interrupted wait starts again: -EINTR would be seen otherwise */
	if (!real) {
		if ((long long)saved.orig_rax >= 0) {
			saved.rax = saved.orig_rax;
			saved.rip -= 2;
			if (ptrace(PTRACE_SETREGS, pid, NULL, &saved) < 0)
				fail("setregs");
		}
	}
	if (ptrace(PTRACE_DETACH, pid, NULL,
		(void *)(long)(real ? SIGSYS : 0)) < 0)
		fail("detach");
	return 0;
}
