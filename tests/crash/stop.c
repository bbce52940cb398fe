/* SPDX-License-Identifier: ISC
 * stop [OPTION ...] -- COMMAND ...: runs a command and all its children under
 * ptrace, counts the calls that change files below certain folders, by role and
 * call, and ends a process, or all of them, with SIGKILL at exactly the n-th:
 * on entry (the call is not done) or on exit (it is done, and nobody knows).
 * A seccomp filter of its own has the kernel report those calls only.
 *
 *   --watch DIR     count calls on files below DIR (again for more)
 *   --not FILE      but not those on FILE
 *   --trace FILE    write each counted call there
 *   --arm ...       as the order "arm" below, before the command starts
 *
 * Orders on standard input, a line each; answers on standard output:
 *   arm ROLE CALL N entry|exit one|all     -> ok     (counters begin anew)
 *      any any N ...: the N-th call of all
 *   count                                  -> ROLE CALL COUNT ..., end
 *   kill                                   ends all processes
 * Events: "fired PID ROLE CALL N PATH", "over STATUS" when no process is left.
 * End of file on standard input ends all processes.
 */
#include "tests/crash/stop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	PROCESSES = 4096,
	COUNTERS = 256,
	TRACE_OPTIONS = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK |
			PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
			PTRACE_O_TRACEEXEC | PTRACE_O_TRACESECCOMP |
			PTRACE_O_EXITKILL
};

struct counter {
	char role[STOP_ROLE];
	const char *call;
	unsigned count;
};

static struct {
	bool on, exit, all;
	char role[STOP_ROLE];
	char call[STOP_ROLE];
	unsigned n;
} plan;

static unsigned total; /* of all roles and calls */
static struct process processes[PROCESSES];
static size_t process_count;
static struct counter counters[COUNTERS];
static size_t counter_count;
static bool killing; /* all of them */
static FILE *trace_file;
static pid_t first_pid;
static int first_status;

static _Noreturn void
fail(const char *what)
{
	fprintf(stderr, "stop: %s: %s\n", what, strerror(errno));
	exit(111);
}

static struct process *
find(pid_t pid)
{
	for (size_t i = 0; i < process_count; i++)
		if (processes[i].pid == pid)
			return &processes[i];
	return NULL;
}

static struct process *
find_or_add(pid_t pid)
{
	struct process *p = find(pid);
	if (p != NULL)
		return p;
	if (process_count == PROCESSES) {
		errno = E2BIG;
		fail("processes");
	}
	p = &processes[process_count++];
	*p = (struct process){ .pid = pid };
	return p;
}

static void
forget(pid_t pid)
{
	struct process *p = find(pid);
	if (p != NULL)
		*p = processes[--process_count];
}

static void
end_all(void)
{
	killing = true;
	for (size_t i = 0; i < process_count; i++)
		(void)kill(processes[i].pid, SIGKILL); /* may be gone */
}

/* ---- orders ---- */

static void
arm(const char *text)
{
	char when[8];
	char scope[8];
	plan.on = sscanf(text, "%31s %31s %u %7s %7s", plan.role, plan.call,
		      &plan.n, when, scope) == 5;
	if (!plan.on) {
		fprintf(stderr, "stop: bad plan: %s\n", text);
		exit(100);
	}
	plan.exit = strcmp(when, "exit") == 0;
	plan.all = strcmp(scope, "all") == 0;
	counter_count = 0;
	total = 0;
}

static void
tell_counts(void)
{
	for (size_t i = 0; i < counter_count; i++)
		printf("%s %s %u\n", counters[i].role, counters[i].call,
		    counters[i].count);
	printf("end\n");
}

static void
obey(char *line)
{
	if (strncmp(line, "arm ", 4) == 0) {
		arm(line + 4);
		printf("ok\n");
	} else if (strcmp(line, "count") == 0) {
		tell_counts();
	} else if (strcmp(line, "kill") == 0) {
		end_all();
	} else {
		fprintf(stderr, "stop: unknown order: %s\n", line);
		exit(100);
	}
	fflush(stdout);
}

static void
take_orders(struct pollfd *in)
{
	static char text[1024];
	static size_t n;
	ssize_t got = read(STDIN_FILENO, text + n, sizeof(text) - 1 - n);
	if (got <= 0) {
		in->fd = -1;
		end_all();
		return;
	}
	n += (size_t)got;
	text[n] = '\0';
	char *line = text;
	for (char *lf; (lf = strchr(line, '\n')) != NULL; line = lf + 1) {
		*lf = '\0';
		obey(line);
	}
	n -= (size_t)(line - text);
	memmove(text, line, n);
}

/* ---- calls ---- */

static unsigned
count(const struct process *p, const char *call)
{
	for (size_t i = 0; i < counter_count; i++)
		if (counters[i].call == call &&
		    strcmp(counters[i].role, p->role) == 0)
			return ++counters[i].count;
	if (counter_count == COUNTERS) {
		errno = E2BIG;
		fail("counters");
	}
	struct counter *c = &counters[counter_count++];
	memcpy(c->role, p->role, sizeof(c->role));
	c->call = call;
	c->count = 1;
	return 1;
}

static void
fire(struct process *p)
{
	plan.on = false;
	if (kill(p->pid, SIGKILL) < 0)
		fail("kill");
	if (plan.all)
		end_all();
	printf("fired %d %s %s %u %s\n", p->pid, p->role, plan.call, plan.n,
	    p->path);
	fflush(stdout);
}

/* At a call's entry.  How the process goes on: PTRACE_CONT, or PTRACE_SYSCALL
 * when it is to be met again at the exit. */
static enum __ptrace_request
on_call(struct process *p)
{
	const char *call = stop_call_look(p);
	if (call == NULL)
		return PTRACE_CONT;
	unsigned n = count(p, call);
	if (trace_file != NULL)
		fprintf(trace_file, "%d %s %s %u %s\n", p->pid, p->role, call,
		    n, p->path);
	total++;
	bool any = strcmp(plan.role, "any") == 0;
	if (!plan.on || (any ? total : n) != plan.n ||
	    (!any && (strcmp(plan.call, call) != 0 ||
			 strcmp(plan.role, p->role) != 0)))
		return PTRACE_CONT;
	if (plan.exit) {
		p->at_exit = true;
		return PTRACE_SYSCALL;
	}
	fire(p);
	return PTRACE_CONT;
}

static void
resume(pid_t pid, enum __ptrace_request how, int sig)
{
	if (ptrace(how, pid, NULL, (void *)(long)sig) < 0 && errno != ESRCH)
		fail("resume");
}

static void
on_new_child(const struct process *parent, pid_t pid)
{
	unsigned long child;
	char role[STOP_ROLE];
	unsigned depth = parent->forks + 1;
	memcpy(role, parent->role, sizeof(role));
	if (ptrace(PTRACE_GETEVENTMSG, pid, NULL, &child) < 0)
		return; /* killed meanwhile */
	struct process *p = find_or_add((pid_t)child);
	p->forks = depth;
	stop_child_role(p, role);
	if (killing)
		(void)kill(p->pid, SIGKILL);
	if (p->held)
		resume(p->pid, PTRACE_CONT, 0);
	p->held = false;
}

static void
on_event(pid_t pid, unsigned event, int sig)
{
	struct process *p = find_or_add(pid);
	enum __ptrace_request how = PTRACE_CONT;
	switch (event) {
	case PTRACE_EVENT_FORK:
	case PTRACE_EVENT_VFORK:
	case PTRACE_EVENT_CLONE:
		on_new_child(p, pid);
		break;
	case PTRACE_EVENT_EXEC:
		stop_exec_role(p);
		break;
	case PTRACE_EVENT_SECCOMP:
		how = on_call(p);
		break;
	case PTRACE_EVENT_STOP:
		/* a new child, met before its parent's fork: whose it is must
		 * be known before it runs */
		p->held = p->role[0] == '\0' && pid != first_pid;
		if (p->held)
			return;
		/* a stopped job stays so until SIGCONT */
		if (sig != SIGTRAP)
			how = PTRACE_LISTEN;
		break;
	default:
		break;
	}
	resume(pid, how, 0);
}

static void
on_status(pid_t pid, int status)
{
	if (WIFEXITED(status) || WIFSIGNALED(status)) {
		if (pid == first_pid)
			first_status = status;
		forget(pid);
		return;
	}
	int sig = WSTOPSIG(status);
	unsigned event = (unsigned)status >> 16;
	if (killing)
		(void)kill(pid, SIGKILL);
	if (event != 0) {
		on_event(pid, event, sig);
	} else if (sig == (SIGTRAP | 0x80)) {
		struct process *p = find(pid);
		if (p != NULL && p->at_exit)
			fire(p);
		resume(pid, PTRACE_CONT, 0);
	} else {
		resume(pid, PTRACE_CONT, sig);
	}
}

/* False when no process is left. */
static bool
reap(void)
{
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, __WALL | WNOHANG);
		if (pid == 0)
			return true;
		if (pid < 0 && errno == ECHILD)
			return false;
		if (pid < 0)
			fail("waitpid");
		on_status(pid, status);
	}
}

/* ---- start ---- */

static void
launch(char **argv)
{
	int status;
	first_pid = fork();
	if (first_pid < 0)
		fail("fork");
	if (first_pid == 0) {
		sigset_t none;
		sigemptyset(&none);
		if (sigprocmask(SIG_SETMASK, &none, NULL) < 0)
			fail("signals");
		(void)raise(SIGSTOP);
		stop_filter_load();
		execvp(argv[0], argv);
		fail(argv[0]);
	}
	if (waitpid(first_pid, &status, WUNTRACED) < 0 || !WIFSTOPPED(status))
		fail("child");
	if (ptrace(PTRACE_SEIZE, first_pid, NULL, (void *)TRACE_OPTIONS) < 0)
		fail("seize");
	find_or_add(first_pid);
	if (kill(first_pid, SIGCONT) < 0)
		fail("continue");
}

static char **
options(int argc, char **argv)
{
	int i = 1;
	for (; i + 1 < argc && strcmp(argv[i], "--") != 0; i += 2) {
		const char *value = argv[i + 1];
		if (strcmp(argv[i], "--watch") == 0)
			stop_watch(value);
		else if (strcmp(argv[i], "--not") == 0)
			stop_not(value);
		else if (strcmp(argv[i], "--arm") == 0)
			arm(value);
		else if (strcmp(argv[i], "--trace") == 0)
			trace_file = fopen(value, "we");
		else
			break;
		if (strcmp(argv[i], "--trace") == 0 && trace_file == NULL)
			fail(value);
	}
	if (i + 1 >= argc || strcmp(argv[i], "--") != 0) {
		fprintf(stderr, "usage: stop [--watch DIR] [--not FILE] "
				"[--trace FILE] [--arm PLAN] -- COMMAND ...\n");
		exit(100);
	}
	return argv + i + 1;
}

int
main(int argc, char **argv)
{
	sigset_t chld;
	char **command = options(argc, argv);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &chld, NULL) < 0)
		fail("signals");
	int sigfd = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK);
	if (sigfd < 0)
		fail("signalfd");
	launch(command);
	struct pollfd fds[] = { { .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = sigfd, .events = POLLIN } };
	while (reap()) {
		struct signalfd_siginfo info;
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			fail("poll");
		if (fds[0].fd >= 0 && fds[0].revents != 0)
			take_orders(&fds[0]);
		while (read(sigfd, &info, sizeof(info)) > 0)
			continue;
	}
	if (trace_file != NULL && fclose(trace_file) != 0)
		fail("trace");
	tell_counts();
	printf("over %d\n", WIFEXITED(first_status)
				? WEXITSTATUS(first_status)
				: 128 + WTERMSIG(first_status));
	return 0;
}
