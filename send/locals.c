/* SPDX-License-Identifier: ISC
 * locals: contract in locals.h.  Part of postern-become (root).
 */
#include "send/locals.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/io.h"
#include "common/log.h"
#include "common/packet.h"
#include "send/programs.h"

enum {
	STARTS_MAX = 1000, /* of one template */
	DUE_MAX = 32,	   /* answers: so many packets surely find room */
	ANSWER_S = 20,	   /* it only forks */
	REQUEST = 1024
};

static void on_answer(struct watch *, uint32_t);

static struct {
	struct watch link; /* fd -1: there is none */
	pid_t pid;	   /* 0: it has ended */
	unsigned starts, due;
	bool worn; /* another one is to come when nothing is due */
} template = { .link = { .fd = -1, .ready = on_answer } };

/* Children of whom nothing was told have no process, or one whose end is seen
 * on the control socket. */
static void
template_lose(void)
{
	loop_remove(&template.link);
	io_close(&template.link.fd);
	template.due = 0;
	for (size_t i = 0; i < CHILDREN; i++) {
		struct child *c = &children[i];
		if (c->kind == CHILD_FREE || c->pid != CHILD_PID_DUE)
			continue;
		c->pid = 0;
		child_free_if_over(c);
	}
}

/* One answer.  False: none, or the template is lost. */
static bool
take_answer(int flags)
{
	char space[32];
	struct str bytes;
	int fds[PACKET_FDS];
	size_t nfds;
	int n = packet_recv(
	    template.link.fd, space, sizeof(space), flags, &bytes, fds, &nfds);

	if (n < 0 && errno == EAGAIN && flags != 0)
		return false;
	struct packet p = packet_open(n > 0 ? bytes : STR(""));
	uint32_t tag = packet_get_u32(&p);
	uint32_t pid = packet_get_u32(&p);
	uint32_t error = packet_get_u32(&p);
	if (n > 0)
		packet_close_fds(fds, nfds);
	if (!packet_end(&p) || tag >= CHILDREN ||
	    children[tag].pid != CHILD_PID_DUE) {
		template_lose();
		return false;
	}
	template.due--;
	children[tag].pid = (pid_t)pid;
	if (pid == 0) /* its control socket has ended */
		LOG(ERROR, "fork", F_TEXT("user", children[tag].account.name),
		    F_ERRNO((int)error));
	child_free_if_over(&children[tag]);
	return true;
}

static void
on_answer(struct watch *w, uint32_t events)
{
	(void)events;
	while (w->fd >= 0 && take_answer(MSG_DONTWAIT))
		continue;
}

void
locals_settle(void)
{
	while (template.due > 0 && take_answer(0))
		continue;
}

static int
template_start(void)
{
	const struct timeval patience = { .tv_sec = ANSWER_S };
	int pair[2];

	if (io_pair(SOCK_SEQPACKET, pair) < 0)
		return -1;
	template.link.fd = pair[0];
	if (setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &patience,
		sizeof(patience)) < 0 ||
	    loop_add(&template.link, EPOLLIN) < 0)
		io_close(&template.link.fd);
	else
		template.pid = programs_template(pair[1]);
	close(pair[1]);
	template.starts = template.due = 0;
	template.worn = false;
	if (template.link.fd >= 0 && template.pid > 0)
		return 0;
	int error = errno;
	template_lose();
	template.pid = 0;
	errno = error;
	return -1;
}

int
locals_start(struct child *c, int control_fd)
{
	char room[REQUEST];
	struct buf b = BUF_ON(room);

	if (template.due >= DUE_MAX || template.worn)
		locals_settle();
	if (template.worn && template.link.fd >= 0)
		template_lose(); /* it ends, as nothing is due */
	if (template.link.fd < 0 && template_start() < 0)
		return -1;
	packet_begin(&b, 'L');
	packet_u32(&b, (uint32_t)(c - children));
	packet_u32(&b, c->account.uid);
	packet_u32(&b, c->account.gid);
	packet_str(&b, c->is_owner ? STR("") : str_of(c->account.name));
	packet_str(&b, str_of(c->account.home));
	if (packet_send(template.link.fd, buf_str(&b), &control_fd, 1) < 0)
		return -1;
	c->pid = CHILD_PID_DUE;
	template.due++;
	template.worn = ++template.starts >= STARTS_MAX;
	return 0;
}

bool
locals_ended(pid_t pid, int status)
{
	if (pid != template.pid)
		return false;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		LOG(WARN, "child-died", F_TEXT("program", "local's template"),
		    F_NUM("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
		    F_NUM("exit", WIFEXITED(status) ? WEXITSTATUS(status) : 0));
	template.pid = 0;
	return true;
}

void
locals_renew(void)
{
	template.worn = true;
}
