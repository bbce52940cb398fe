/* SPDX-License-Identifier: ISC
 * program: contract in program.h.  Runs as posternf, without a sandbox but the
 * deny list of common/guard.h.
 */
#include "filter/program.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/io.h"
#include "common/layout.h"
#include "common/role.h"
#include "filter/fence.h"

enum {
	EXIT_CANNOT = 120, /* qmail.c: unable to exec */
	FIRST_SPARE = 16,
	FDS = PROGRAM_REPORT_FD + 1,
	VARS = 10,
	FILES = 256
};

#define MEMORY	  ((uint64_t)2 << 30)
#define FILE_SIZE ((uint64_t)1 << 30)

static _Noreturn void
give_up(const char *what, const char *why)
{
	char text[COMMAND_ROOM + 256];
	struct buf b = BUF_ON(text);

	buf_puts(&b, "cannot run ");
	buf_puts(&b, what);
	buf_puts(&b, ": ");
	buf_puts(&b, why);
	buf_putc(&b, '\n');
	(void)io_write_all(STDERR_FILENO, buf_str(&b)); /* best effort */
	_exit(EXIT_CANNOT);
}

/* Standard error first, so that the rest can complain. */
static void
place_fds(const struct supervise *s, int said_fd, int report_fd)
{
	const int wanted[FDS] = { s->body_fd, s->envelope_fd, said_fd, -1,
		report_fd };
	int spare[FDS];

	for (int i = 0; i < FDS; i++) {
		spare[i] = -1;
		if (wanted[i] < 0)
			continue;
		spare[i] = fcntl(wanted[i], F_DUPFD_CLOEXEC, FIRST_SPARE);
		if (spare[i] < 0)
			_exit(EXIT_CANNOT);
	}
	for (int i = 0; i < FDS; i++) {
		if (spare[i] >= 0 && dup2(spare[i], i) < 0)
			_exit(EXIT_CANNOT);
		if (spare[i] < 0)
			close(i);
	}
	if (close_range(FDS, ~0U, CLOSE_RANGE_CLOEXEC) != 0)
		give_up("a filter", strerror(errno));
}

static void
limit(int resource, uint64_t value)
{
	struct rlimit r = { .rlim_cur = value, .rlim_max = value };
	struct rlimit now;

	if (getrlimit((unsigned)resource, &now) == 0 && now.rlim_max < value)
		r.rlim_cur = r.rlim_max = now.rlim_max;
	if (setrlimit((unsigned)resource, &r) < 0)
		give_up("setrlimit", strerror(errno));
}

static void
limit_all(const struct supervise *s)
{
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_CPU, (uint64_t)s->timeout_ms / 1000 + 1);
	limit(RLIMIT_NOFILE, FILES);
	limit(RLIMIT_FSIZE, FILE_SIZE);
#if !defined(__SANITIZE_ADDRESS__) && !defined(POSTERN_SANITIZED)
	limit(RLIMIT_DATA, MEMORY); /* a sanitizer wants terabytes */
#endif
	if (s->processes > 0)
		limit(RLIMIT_NPROC, s->processes);
}

/* What layout_init was told. */
static struct str
root_of_suite(void)
{
	struct str run = str_of(layout_path(LAYOUT_RUN));

	return str_head(run, run.n - (sizeof("/run/postern") - 1));
}

static void
put(struct buf *b, const char *name, struct str value)
{
	buf_puts(b, name);
	buf_put(b, value);
	buf_putc(b, '\0');
}

static char **
environment(const struct supervise *s)
{
	static char text[4096];
	static char *vars[VARS];
	char facts_room[FACTS_ROOM + 8];
	struct buf b = BUF_ON(text);
	struct buf facts = BUF_ON(facts_room);
	size_t n = 0;

	buf_put(&facts, s->facts.sid);
	buf_putc(&facts, ' ');
	buf_put(&facts, s->facts.peer_ip.n > 0 ? s->facts.peer_ip : STR("-"));
	buf_puts(&facts, s->facts.relay ? " 1" : " 0");
	put(&b, "PATH=", STR("/usr/local/bin:/usr/bin:/bin"));
	put(&b, "QMAILQUEUE=", str_of(s->queue));
	put(&b, "POSTERN_QUEUE_FACTS=", buf_str(&facts));
	put(&b, "POSTERN_QUEUE_REPORT=", STR("4"));
	put(&b, "PROTO=", STR("TCP"));
	if (s->facts.peer_ip.n > 0)
		put(&b, "TCPREMOTEIP=", s->facts.peer_ip);
	if (s->facts.relay)
		put(&b, "RELAYCLIENT=", STR(""));
	if (root_of_suite().n > 0)
		put(&b, "POSTERN_ROOT=", root_of_suite());
#if defined(__SANITIZE_ADDRESS__) || defined(POSTERN_SANITIZED)
	put(&b, "ASAN_OPTIONS=", STR("detect_leaks=0"));
#endif
	if (b.full || facts.full)
		give_up("a filter", "its environment is too large");
	for (size_t at = 0; at < b.n && n + 1 < VARS; n++) {
		vars[n] = text + at;
		at += strlen(text + at) + 1;
	}
	vars[n] = NULL;
	return vars;
}

void
program_become(const struct supervise *s, int said_fd, int report_fd)
{
	const char *path = s->command->argv[0];

	place_fds(s, said_fd, report_fd);
	const char *wrong = command_check(path, s->also);
	if (wrong != NULL)
		give_up(path, wrong);
	/* what it leaves behind goes by the group first */
	if (setsid() < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
	    chdir("/") < 0 || fence_enter() < 0)
		give_up(path, strerror(errno));
	umask(0077);
	role_undo_signals();
	limit_all(s);
	execve(path, s->command->argv, environment(s));
	give_up(path, strerror(errno));
}
