/* SPDX-License-Identifier: ISC
 * keeper: contract in keeper.h.  Runs as posternf.
 */
#include "filter/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/control.h"
#include "common/die.h"
#include "common/guard.h"
#include "common/io.h"
#include "common/layout.h"
#include "common/log.h"
#include "common/privs.h"
#include "common/role.h"
#include "filter/descendants.h"
#include "filter/outcome.h"
#include "filter/supervise.h"

enum {
	PROCESSES_EACH = 32, /* of RLIMIT_NPROC */
	PROCESSES_MORE = 256,
	TIMEOUT_MAX_MS = LIMIT_FILTER_S * 1000,
	END_MS = 8000 /* of all supervisors, when the role is gone */
};

static struct {
	int fd; /* to the role */
	int signal_fd;
	struct {
		pid_t pid; /* 0: free */
		uint32_t slot;
	} running[KEEPER_MESSAGES];
	struct command commands[2], *command; /* NULL: none that is good */
	char queue[512];
	uid_t also;
	uint64_t processes;
} self;

/* ---- settings ---- */

/* The program that control/filter names now; when that is nonsense, the one
 * before stays. */
static void
configure(void)
{
	struct command *fresh =
	    &self.commands[self.command == &self.commands[0]];
	char text[CONTROL_LINE_MAX];
	struct buf line = BUF_ON(text);
	uint64_t places;
	const char *wrong = NULL;

	if (control_line(ROLE_FD_CONTROL, "filter", &line) < 0 ||
	    control_number(ROLE_FD_CONTROL, "concurrencyfilter", &places) < 0)
		return;
	if (buf_str(&line).n == 0)
		return; /* removed: those that are under way end as they began
			 */
	wrong = command_parse(buf_str(&line), fresh);
	if (wrong == NULL)
		wrong = command_check(fresh->argv[0], self.also);
	if (wrong != NULL)
		LOG(ERROR, "config-error", F_TEXT("file", "filter"),
		    F_NUM("line", 1), F_TEXT("what", wrong));
	else
		self.command = fresh;
	/* the limit holds for the user; a suite of one user has others */
	if (self.also == 0)
		self.processes = PROCESSES_MORE + PROCESSES_EACH * places;
}

/* ---- messages ---- */

static void
answer_trouble(uint32_t slot, const char *why)
{
	char space[256];
	struct buf b = BUF_ON(space);

	packet_begin(&b, 'X');
	packet_u32(&b, slot);
	packet_u8(&b, VERDICT_DEFER);
	packet_u8(&b, OUTCOME_TROUBLE);
	packet_str(&b, STR("4.3.0 Trouble with a filter, try again later"));
	packet_str(&b, str_of(why));
	/* the role reads all the time, or is gone */
	if (packet_send(self.fd, buf_str(&b), NULL, 0) < 0)
		die(EXITCODE_TEMPORARY, "the filter role", errno);
}

static void
begin(size_t place, struct supervise *s)
{
	pid_t pid = fork();

	if (pid == 0)
		supervise(s);
	if (pid < 0) {
		answer_trouble(s->slot, strerror(errno));
		return;
	}
	self.running[place].pid = pid;
	self.running[place].slot = s->slot;
}

static void
take_message(struct packet *p, const int *fds, size_t nfds)
{
	struct supervise s = { .command = self.command,
		.queue = self.queue,
		.processes = self.processes,
		.also = self.also,
		.answer_fd = self.fd,
		.signal_fd = self.signal_fd,
		.keeper = getpid() };
	size_t place = 0;

	s.slot = packet_get_u32(p);
	uint32_t timeout = packet_get_u32(p);
	bool good = facts_take(p, &s.facts) && nfds == 2;
	while (place < KEEPER_MESSAGES && self.running[place].pid != 0)
		place++;
	if (!good || place == KEEPER_MESSAGES)
		die(EXITCODE_TEMPORARY, "bad packet of the filter role", 0);
	s.timeout_ms = timeout < TIMEOUT_MAX_MS ? (int)timeout : TIMEOUT_MAX_MS;
	s.body_fd = fds[0];
	s.envelope_fd = fds[1];
	if (self.command == NULL)
		answer_trouble(s.slot, "no program that can be run");
	else
		begin(place, &s);
}

/* False at the role's end. */
static bool
take_packet(void)
{
	static char storage[1024];
	struct str bytes;
	int fds[PACKET_FDS];
	size_t nfds;
	int n = packet_recv(self.fd, storage, sizeof(storage), MSG_DONTWAIT,
	    &bytes, fds, &nfds);

	if (n < 0 && errno == EAGAIN)
		return true;
	if (n <= 0)
		return false;
	struct packet p = packet_open(bytes);
	if (p.type == 'P')
		take_message(&p, fds, nfds);
	else if (p.type == 'H')
		configure();
	packet_close_fds(fds, nfds);
	return true;
}

/* ---- deaths ---- */

static void
ended(pid_t pid, int status)
{
	for (size_t i = 0; i < KEEPER_MESSAGES; i++) {
		if (self.running[i].pid != pid)
			continue;
		self.running[i].pid = 0;
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			answer_trouble(self.running[i].slot,
			    "its supervisor died or could not begin");
		return;
	}
}

static bool
is_supervisor(pid_t pid)
{
	for (size_t i = 0; i < KEEPER_MESSAGES; i++)
		if (self.running[i].pid == pid)
			return true;
	return false;
}

/* Reaps.  What was a dead supervisor's is ours now, and is killed. */
static void
look_for_deaths(void)
{
	int status;
	pid_t pid;
	bool orphans = false;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		orphans = orphans || !is_supervisor(pid) ||
			  !WIFEXITED(status) || WEXITSTATUS(status) != 0;
		ended(pid, status);
	}
	if (orphans)
		descendants_kill_others(is_supervisor);
}

static void
take_signals(void)
{
	struct signalfd_siginfo info;

	/* SIGTERM is for supervisors: the keeper ends with the role */
	while (read(self.signal_fd, &info, sizeof(info)) ==
	       (ssize_t)sizeof(info)) {}
}

/* The role is gone: no message is to be half done behind its back. */
static _Noreturn void
end_all(void)
{
	int64_t until = clock_mono_ms() + END_MS;

	for (size_t i = 0; i < KEEPER_MESSAGES; i++)
		if (self.running[i].pid != 0)
			(void)kill(self.running[i].pid, SIGTERM);
	while (waitpid(-1, NULL, WNOHANG) >= 0 && clock_mono_ms() < until)
		(void)poll(NULL, 0, 5);
	(void)descendants_end();
	_exit(EXITCODE_DONE);
}

static _Noreturn void
run(void)
{
	for (;;) {
		struct pollfd p[] = {
			{ .fd = self.fd, .events = POLLIN },
			{ .fd = self.signal_fd, .events = POLLIN },
		};
		if (poll(p, N_ELEMENTS(p), -1) < 0 && errno != EINTR)
			die(EXITCODE_TEMPORARY, "poll", errno);
		take_signals();
		look_for_deaths();
		if (!take_packet())
			end_all();
	}
}

/* ---- birth ---- */

static void
take_signal_fd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		die(EXITCODE_TEMPORARY, "sigprocmask", errno);
	self.signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (self.signal_fd < 0)
		die(EXITCODE_TEMPORARY, "signalfd", errno);
}

/* Keeps the log, the control directory and its socket. */
static void
close_others(int fd)
{
	if (fd <= ROLE_FD_CONTROL) /* the role's own are there */
		bug("the keeper's socket");
	if (close_range(ROLE_FD_START, ROLE_FD_START, 0) != 0 ||
	    (fd > ROLE_FD_CONTROL + 1 &&
		close_range(ROLE_FD_CONTROL + 1, (unsigned)fd - 1, 0) != 0) ||
	    close_range((unsigned)fd + 1, ~0U, 0) != 0)
		die(EXITCODE_TEMPORARY, "close_range", errno);
}

uid_t
keeper_one_user(void)
{
	uid_t uid;
	gid_t gid;

	if (privs_lookup("posternf", &uid, &gid) == 0 && uid == geteuid())
		return 0;
	return geteuid();
}

int
keeper_start(void)
{
	int pair[2];
	struct buf queue = BUF_ON(self.queue);

	(void)layout_program("postern-queue", &queue);
	/* its programs may be that user's own */
	self.also = keeper_one_user();
	if (io_pair(SOCK_SEQPACKET | SOCK_NONBLOCK, pair) < 0)
		die(EXITCODE_TEMPORARY, "socketpair", errno);
	pid_t pid = fork();
	if (pid < 0)
		die(EXITCODE_TEMPORARY, "fork", errno);
	if (pid > 0) {
		io_close(&pair[1]);
		return pair[0];
	}
	self.fd = pair[1];
	close_others(self.fd);
	take_signal_fd();
	guard_enter();
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		die(EXITCODE_TEMPORARY, "PR_SET_CHILD_SUBREAPER", errno);
	configure();
	run();
}
