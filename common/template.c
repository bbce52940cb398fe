/* SPDX-License-Identifier: ISC
 * template: see template.h.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/die.h"
#include "common/exitcode.h"
#include "common/io.h"
#include "common/limits.h"
#include "common/link.h"
#include "common/log.h"
#include "common/role.h"
#include "common/template.h"

enum {
	REAP_MS = 1000, /* ended children are reaped at least so often */
	RETIRE_MS = 5,	/* so often, while this process is about to end */
	SPARES_MAX = 16,
	NOTES = 64, /* read at once */
	SESSION_PACKET = 512
};

static void session_start(struct link *, struct packet *, int *, size_t);
static void listen_lost(struct link *);
static void on_note(struct watch *, uint32_t);

static char spare_packet[SESSION_PACKET];

static const struct template_service *service;
static struct link listener =
    LINK_DOWN("listen", session_start, NULL, listen_lost);
static unsigned live, served;
static bool retiring;
static struct {
	pid_t idle[SPARES_MAX]; /* wait for a session */
	unsigned idle_count, wanted;
	bool drained; /* since the last look there was a moment without one */
	struct watch notes; /* the pids of those that have taken one */
	int note_fd;
	int64_t look_ms;
} spares = { .wanted = 1, .notes = { .fd = -1, .ready = on_note } };

/* ---- children ---- */

static void
close_gap(unsigned first, unsigned last)
{
	if (first <= last && close_range(first, last, 0) != 0)
		LOG(WARN, "close-range", F_ERRNO(errno));
}

/* Closes every descriptor over 2 that is not in keep. */
static void
close_others(const int *keep, size_t nkeep)
{
	unsigned next = STDERR_FILENO + 1;

	for (;;) {
		unsigned least = ~0U;
		for (size_t i = 0; i < nkeep; i++) {
			unsigned fd = (unsigned)keep[i];
			if (fd >= next && fd < least)
				least = fd;
		}
		if (least == ~0U)
			break;
		if (least > next)
			close_gap(next, least - 1);
		next = least + 1;
	}
	close_gap(next, ~0U);
}

/* Whoever serves a stranger makes no further process. */
static void
no_children(void)
{
	struct rlimit none = { .rlim_cur = 0, .rlim_max = 0 };

	/* libc would call prlimit64, which could reach other processes */
	if (syscall(SYS_setrlimit, RLIMIT_NPROC, &none) < 0)
		die(EXITCODE_TEMPORARY, "RLIMIT_NPROC", errno);
}

int
template_fork(const int *keep, size_t nkeep)
{
	pid_t pid = _Fork(); /* nothing here has a fork handler */

	if (pid > 0)
		live++;
	if (pid != 0)
		return (int)pid;
	close_others(keep, nkeep);
	no_children();
	return 0;
}

bool
template_is_crash(int status)
{
	if (WIFSIGNALED(status))
		return WTERMSIG(status) != SIGTERM &&
		       WTERMSIG(status) != SIGKILL;
	return WIFEXITED(status) && WEXITSTATUS(status) == EXITCODE_SANDBOX;
}

/* False when it was none. */
static bool
spare_forget(pid_t pid)
{
	for (unsigned i = 0; i < spares.idle_count; i++)
		if (spares.idle[i] == pid) {
			spares.idle[i] = spares.idle[--spares.idle_count];
			return true;
		}
	return false;
}

unsigned
template_reap(void)
{
	unsigned crashes = 0;

	while (live > 0) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);
		if (pid <= 0)
			break;
		live--;
		(void)spare_forget(pid);
		if (template_is_crash(status)) {
			crashes++;
			LOG(ERROR, "session-crashed", F_NUM("pid", pid),
			    F_NUM("signal", WIFSIGNALED(status)
						? WTERMSIG(status)
						: SIGSYS));
		}
	}
	return crashes;
}

unsigned
template_live(void)
{
	return live;
}

/* ---- the link to listen ---- */

static void
listen_lost(struct link *l)
{
	(void)l;
	/* the others see the end too, and are reaped some time later */
	if (!retiring)
		spares.idle_count = 0;
}

/* From here on listen cannot send; what it has sent can still be read, by
 * spares that wait and by this process. */
static void
retire(void)
{
	if (retiring)
		return;
	retiring = true;
	if (link_is_up(&listener) && shutdown(listener.watch.fd, SHUT_RD) != 0)
		LOG(WARN, "shutdown", F_ERRNO(errno));
}

static void
count_session(void)
{
	if (++served >= service->max_sessions)
		retire();
}

static bool
session_parse(struct packet *p, struct template_session *s)
{
	s->sid = packet_get_str(p, LIMIT_SID);
	s->peer_ip = packet_get_str(p, LIMIT_PEER);
	s->peer_port = packet_get_u32(p);
	s->local_ip = packet_get_str(p, LIMIT_PEER);
	s->local_port = packet_get_u32(p);
	s->relay = packet_get_u8(p) == 1;
	return packet_end(p) && p->type == 'S' && s->nfds == service->fd_count;
}

/* A session for which there was no spare. */
static void
session_start(struct link *l, struct packet *p, int *fds, size_t nfds)
{
	struct template_session s = { .nfds = nfds };
	const struct str refusal = str_of(service->refusal);

	memcpy(s.fds, fds, nfds * sizeof(fds[0]));
	if (!session_parse(p, &s)) {
		link_complain(l, p->type);
		return;
	}
	int pid = template_fork(fds, nfds);
	if (pid == 0) {
		service->serve(&s);
		_exit(EXITCODE_DONE);
	}
	if (pid < 0) {
		LOG(ERROR, "fork", F_STR("sid", s.sid), F_ERRNO(errno));
		/* a client that takes not even this gets nothing */
		(void)send(s.fds[0], refusal.p, refusal.n,
		    MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	count_session();
}

/* ---- spares: children that were forked before their session came ---- */

/* The session is this process's now, even if the template should die. */
static void
spare_taken(int link_fd)
{
	const pid_t pid = getpid();

	if (prctl(PR_SET_PDEATHSIG, 0) != 0 ||
	    write(spares.note_fd, &pid, sizeof(pid)) != sizeof(pid))
		LOG(ERROR, "spare", F_ERRNO(errno));
	close(link_fd);
	close(spares.note_fd);
}

/* The kernel gives each packet to one of those that wait for it. */
static void
spare_serve(int link_fd)
{
	struct template_session s;
	struct str bytes;

	for (;;) {
		int n = packet_recv(link_fd, spare_packet, sizeof(spare_packet),
		    0, &bytes, s.fds, &s.nfds);
		if (n == 0 || (n < 0 && errno != EMSGSIZE))
			return;
		struct packet p = packet_open(n < 0 ? STR("") : bytes);
		if (session_parse(&p, &s))
			break;
		link_complain(&listener, p.type);
		packet_close_fds(s.fds, s.nfds);
	}
	spare_taken(link_fd);
	service->serve(&s);
}

/* False when the kernel would not fork. */
static bool
spare_start(void)
{
	const int keep[] = { listener.watch.fd, spares.note_fd };
	const pid_t template_pid = getpid();
	int pid = template_fork(keep, N_ELEMENTS(keep));

	if (pid == 0) {
		/* one that waits would keep the link of a dead template up */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 &&
		    getppid() == template_pid)
			spare_serve(keep[0]);
		_exit(EXITCODE_DONE);
	}
	if (pid < 0) {
		LOG(ERROR, "fork", F_ERRNO(errno));
		return false;
	}
	spares.idle[spares.idle_count++] = pid;
	return true;
}

static void
on_note(struct watch *w, uint32_t events)
{
	pid_t pids[NOTES];
	ssize_t n = read(w->fd, pids, sizeof(pids));

	(void)events;
	for (size_t i = 0; n > 0 && i < (size_t)n / sizeof(pids[0]); i++)
		if (spare_forget(pids[i]))
			count_session();
	spares.drained = spares.drained || spares.idle_count == 0;
}

/* More spares while they run out, fewer when they have not for a second. */
static void
spares_adapt(void)
{
	int64_t now = clock_mono_ms();

	if (spares.drained && spares.wanted < SPARES_MAX)
		spares.wanted *= 2;
	else if (now < spares.look_ms)
		return;
	else if (spares.wanted > 1)
		spares.wanted /= 2;
	spares.drained = false;
	spares.look_ms = now + REAP_MS;
}

/* While a spare waits, this process does not read the link. */
static void
spares_balance(void)
{
	if (!link_is_up(&listener))
		return;
	spares_adapt();
	while (!retiring && spares.idle_count < spares.wanted && spare_start())
		continue;
	loop_change(
	    &listener.watch, retiring || spares.idle_count == 0 ? EPOLLIN : 0);
}

static void
spares_init(void)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) != 0 || io_nonblock(ends[0], true) != 0)
		die(EXITCODE_TEMPORARY, "pipe", errno);
	spares.notes.fd = ends[0];
	spares.note_fd = ends[1];
	if (loop_add(&spares.notes, EPOLLIN) != 0)
		die(EXITCODE_TEMPORARY, "epoll_ctl", errno);
}

/* ---- all of it ---- */

static void
on_link(struct str peer, int fd)
{
	/* spares wait in recvmsg; what this process does on it never blocks */
	if (retiring || !str_eq(peer, str_of(service->peer)) ||
	    io_nonblock(fd, false) != 0)
		io_close(&fd);
	else if (link_open(&listener, fd))
		spares.idle_count = 0; /* those wait at the old one */
}

static int
before_wait(void)
{
	if (template_reap() > 0)
		retire();
	spares_balance();
	if (retiring && !link_is_up(&listener)) {
		/* one that has not told yet would not outlive this process */
		if (spares.idle_count > 0)
			return RETIRE_MS;
		loop_stop();
	}
	return live > 0 ? REAP_MS : -1;
}

bool
template_wanted(int argc, char **argv)
{
	return argc == 2 && str_eq(str_of(argv[1]), STR("--template"));
}

int
template_run(const struct template_service *s, int argc, char **argv)
{
	const struct role role = {
		.name = s->role,
		.user = s->user,
		.help = s->help,
		.on_link = on_link,
		.on_reload = retire, /* the next one reads the new settings */
		.on_finish = retire,
	};
	char *bare[] = { argv[0], NULL };

	(void)argc;
	service = s;
	listener.name = s->peer;
	role_init(&role, 1, bare);
	spares_init();
	if (s->prepare != NULL)
		s->prepare();
	sandbox_enter(s->sandbox);
	role_ready();
	loop_run(before_wait);
	return 0;
}
