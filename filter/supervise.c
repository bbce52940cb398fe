/* SPDX-License-Identifier: ISC
 * supervise: contract in supervise.h.
 */
#include "filter/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/exitcode.h"
#include "common/io.h"
#include "common/log.h"
#include "filter/descendants.h"
#include "filter/outcome.h"
#include "filter/program.h"

enum {
	LOOK_MS = 200, /* how many processes are there? */
	PROCESSES = 64,
	LINES = 20, /* of what it says; the rest is thrown away */
	LINE = 400,
	SEND_MS = 10000,
	CHUNK = 4096
};

static struct {
	const struct supervise *s;
	pid_t pid; /* of the program; 0: it has ended */
	int status;
	int said_fd, report_fd; /* -1: ended */
	const char *stopped;
	bool cancelled; /* nobody wants the answer */
	int64_t deadline, next_look;
	unsigned lines;
	char line[LINE];
	size_t line_n;
	struct outcome_report report;
} self;

/* ---- what the program says ---- */

static void
end_line(void)
{
	if (self.line_n > 0 && self.lines++ < LINES)
		LOG(INFO, "filter-said", F_STR("sid", self.s->facts.sid),
		    F_STR("text",
			((struct str){ .p = self.line, .n = self.line_n })));
	self.line_n = 0;
}

static void
take_said(struct str bytes)
{
	for (size_t i = 0; i < bytes.n; i++) {
		if (bytes.p[i] == '\n')
			end_line();
		else if (self.line_n < sizeof(self.line))
			self.line[self.line_n++] = bytes.p[i];
	}
}

static void
take_report(struct str bytes)
{
	outcome_feed(&self.report, bytes);
}

/* Takes what is there, but a chatterer cannot keep us from looking elsewhere.
 */
static void
drain(int *fd, void (*take)(struct str))
{
	char chunk[CHUNK];

	for (int i = 0; i < 16 && *fd >= 0; i++) {
		ssize_t n = read(*fd, chunk, sizeof(chunk));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0)
			io_close(fd);
		else
			take((struct str){ .p = chunk, .n = (size_t)n });
	}
}

/* ---- life ---- */

static int
launch(void)
{
	int said[2], report[2];

	if (pipe2(said, O_CLOEXEC) < 0)
		return -1;
	if (pipe2(report, O_CLOEXEC) < 0 || io_nonblock(said[0], true) < 0 ||
	    io_nonblock(report[0], true) < 0)
		return -1; /* this process ends: nothing to close */
	self.pid = fork();
	if (self.pid < 0)
		return -1;
	if (self.pid == 0)
		program_become(self.s, said[1], report[1]);
	close(said[1]);
	close(report[1]);
	self.said_fd = said[0];
	self.report_fd = report[0];
	return 0;
}

static void
stop(const char *why)
{
	if (self.stopped == NULL)
		self.stopped = why;
	(void)kill(self.pid, SIGKILL); /* not reaped yet: nobody else's pid */
}

/* The program's own end.  Not reaped before the rest is gone, too. */
static void
look_for_end(void)
{
	siginfo_t info = { .si_pid = 0 };

	if (waitid(P_PID, (id_t)self.pid, &info, WEXITED | WNOHANG | WNOWAIT) <
		0 ||
	    info.si_pid != self.pid)
		return;
	self.status = info.si_code == CLD_EXITED
			  ? W_EXITCODE(info.si_status & 0xff, 0)
			  : W_EXITCODE(0, info.si_status & 0x7f);
	self.pid = 0;
}

static void
take_signals(void)
{
	struct signalfd_siginfo info;

	while (read(self.s->signal_fd, &info, sizeof(info)) ==
	       (ssize_t)sizeof(info))
		if (info.ssi_signo == SIGTERM) {
			self.cancelled = true;
			stop("cancelled");
		}
}

static void
look_around(void)
{
	int64_t now = clock_mono_ms();

	if (now >= self.deadline)
		stop("took too long");
	if (now < self.next_look)
		return;
	self.next_look = now + LOOK_MS;
	if (descendants_count(PROCESSES + 1) > PROCESSES)
		stop("too many processes");
}

static void
wait_for_end(void)
{
	while (self.pid != 0) {
		struct pollfd p[] = {
			{ .fd = self.said_fd, .events = POLLIN },
			{ .fd = self.report_fd, .events = POLLIN },
			{ .fd = self.s->signal_fd, .events = POLLIN },
		};
		if (poll(p, N_ELEMENTS(p), LOOK_MS) < 0 && errno != EINTR)
			stop("poll failed");
		drain(&self.said_fd, take_said);
		drain(&self.report_fd, take_report);
		take_signals();
		look_around();
		look_for_end();
	}
}

/* ---- the answer ---- */

static void
answer(struct outcome *o)
{
	char space[2 * OUTCOME_TEXT];
	struct buf b = BUF_ON(space);
	int r;

	packet_begin(&b, 'X');
	packet_u32(&b, self.s->slot);
	packet_u8(&b, (uint8_t)o->verdict);
	packet_u8(&b, (uint8_t)o->result);
	packet_str(&b, buf_str(&o->text));
	packet_str(&b, buf_str(&o->why));
	do
		r = packet_send(self.s->answer_fd, buf_str(&b), NULL, 0);
	while (r < 0 && errno == EAGAIN &&
	       io_wait(self.s->answer_fd, true, SEND_MS) > 0);
	if (r < 0)
		_exit(EXITCODE_TEMPORARY);
}

void
supervise(const struct supervise *s)
{
	struct outcome o;

	self.s = s;
	self.said_fd = self.report_fd = -1;
	self.deadline = clock_mono_ms() + s->timeout_ms;
	self.next_look = clock_mono_ms() + LOOK_MS;
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 ||
	    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 ||
	    getppid() != s->keeper || launch() < 0)
		_exit(EXITCODE_TEMPORARY);
	wait_for_end();
	if (!descendants_end())
		LOG(ERROR, "filter-left", F_STR("sid", s->facts.sid));
	drain(&self.said_fd, take_said);
	drain(&self.report_fd, take_report);
	end_line();
	if (self.cancelled)
		_exit(EXITCODE_TEMPORARY);
	outcome_decide(
	    &o, self.status, self.stopped, outcome_end(&self.report));
	answer(&o);
	_exit(EXITCODE_DONE);
}
