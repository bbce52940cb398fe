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
#include "common/log.h"
#include "common/loop.h"
#include "common/role.h"
#include "common/template.h"

enum {
	SESSIONS_PER_TURN = 64, /* then the loop looks at the channel again */
	REAP_MS = 1000, /* ended children are reaped at least so often */
	SESSION_PACKET = 512
};

static const struct template_service *service;
static struct watch link_watch = { .fd = -1 };
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
link_drop(void)
{
	if (link_watch.fd < 0)
		return;
	loop_remove(&link_watch);
	io_close(&link_watch.fd);
}

/* From here on listen cannot send; what it has sent can still be read. */
static void
retire(void)
{
	if (retiring)
		return;
	retiring = true;
	if (link_watch.fd < 0)
		loop_stop();
	else if (shutdown(link_watch.fd, SHUT_RD) != 0)
		LOG(WARN, "shutdown", F_ERRNO(errno));
}

static bool
session_parse(struct str bytes, struct template_session *s)
{
	struct packet p = packet_open(bytes);

	s->sid = packet_get_str(&p, LIMIT_SID);
	s->peer_ip = packet_get_str(&p, LIMIT_PEER);
	s->peer_port = packet_get_u32(&p);
	s->local_ip = packet_get_str(&p, LIMIT_PEER);
	s->local_port = packet_get_u32(&p);
	s->relay = packet_get_u8(&p) == 1;
	return packet_end(&p) && p.type == 'S' && s->nfds == service->fd_count;
}

static void
session_start(struct str bytes, struct template_session *s)
{
	if (!session_parse(bytes, s)) {
		LOG(ERROR, "bad-packet", F_TEXT("link", service->peer));
		packet_close_fds(s->fds, s->nfds);
		return;
	}
	int pid = template_fork(s->fds, s->nfds);
	if (pid == 0) {
		service->serve(s);
		_exit(0);
	}
	if (pid < 0)
		LOG(ERROR, "fork", F_STR("sid", s->sid), F_ERRNO(errno));
	packet_close_fds(s->fds, s->nfds);
	if (++served >= service->max_sessions)
		retire();
}

static void
on_session(struct watch *w, uint32_t events)
{
	static char storage[SESSION_PACKET];

	(void)events;
	for (int i = 0; i < SESSIONS_PER_TURN; i++) {
		struct template_session s = { .nfds = 0 };
		struct str bytes;
		int r = packet_recv(w->fd, storage, sizeof(storage),
		    MSG_DONTWAIT, &bytes, s.fds, &s.nfds);
		if (r > 0) {
			session_start(bytes, &s);
		} else if (r < 0 && errno == EMSGSIZE) {
			LOG(ERROR, "bad-packet", F_TEXT("link", service->peer));
		} else if (r == 0 || (errno != EAGAIN && errno != EINTR)) {
			link_drop();
			if (retiring)
				loop_stop();
			return;
		} else {
			return;
		}
	}
}

static void
on_link(struct str peer, int fd)
{
	if (retiring || !str_eq(peer, str_of(service->peer))) {
		io_close(&fd);
		return;
	}
	link_drop();
	link_watch = (struct watch){ .fd = fd, .ready = on_session };
	if (loop_add(&link_watch, EPOLLIN) != 0) {
		LOG(ERROR, "link", F_ERRNO(errno));
		io_close(&link_watch.fd);
	}
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
	role_init(&role, 1, bare);
	if (s->prepare != NULL)
		s->prepare();
	sandbox_enter(s->sandbox);
	role_ready();
	loop_run(before_wait);
	return 0;
}
