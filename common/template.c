/* SPDX-License-Identifier: ISC
 * template: see template.h.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/exitcode.h"
#include "common/io.h"
#include "common/limits.h"
#include "common/link.h"
#include "common/log.h"
#include "common/role.h"
#include "common/template.h"

enum { REAP_MS = 1000 /* ended children are reaped at least so often */ };

static void session_start(struct link *, struct packet *, int *, size_t);
static void listen_lost(struct link *);

static const struct template_service *service;
static struct link listener =
    LINK_DOWN("listen", session_start, NULL, listen_lost);
static unsigned live, served;
static bool retiring;

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

int
template_fork(const int *keep, size_t nkeep)
{
	pid_t pid = fork();

	if (pid > 0)
		live++;
	if (pid != 0)
		return (int)pid;
	close_others(keep, nkeep);
	sandbox_no_children();
	return 0;
}

/* Killed from outside is no crash; a forbidden call is one. */
static bool
is_crash(int status)
{
	if (WIFSIGNALED(status))
		return WTERMSIG(status) != SIGTERM &&
		       WTERMSIG(status) != SIGKILL;
	return WIFEXITED(status) && WEXITSTATUS(status) == EXITCODE_SANDBOX;
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
		if (is_crash(status)) {
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
	if (retiring)
		loop_stop();
}

/* From here on listen cannot send; what it has sent can still be read. */
static void
retire(void)
{
	if (retiring)
		return;
	retiring = true;
	if (!link_is_up(&listener))
		loop_stop();
	else if (shutdown(listener.watch.fd, SHUT_RD) != 0)
		LOG(WARN, "shutdown", F_ERRNO(errno));
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

static void
session_start(struct link *l, struct packet *p, int *fds, size_t nfds)
{
	struct template_session s = { .nfds = nfds };

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
	if (pid < 0)
		LOG(ERROR, "fork", F_STR("sid", s.sid), F_ERRNO(errno));
	if (++served >= service->max_sessions)
		retire();
}

static void
on_link(struct str peer, int fd)
{
	if (retiring || !str_eq(peer, str_of(service->peer)))
		io_close(&fd);
	else
		(void)link_open(&listener, fd);
}

static int
before_wait(void)
{
	if (template_reap() > 0)
		retire();
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
	if (s->prepare != NULL)
		s->prepare();
	sandbox_enter(s->sandbox);
	role_ready();
	loop_run(before_wait);
	return 0;
}
