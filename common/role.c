/* SPDX-License-Identifier: ISC
 * role: contract in role.h.
 */
#include "common/role.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/args.h"
#include "common/die.h"
#include "common/io.h"
#include "common/layout.h"
#include "common/link.h"
#include "common/log.h"
#include "common/privs.h"
#include "common/sandbox.h"

static void take_packet(struct link *, struct packet *, int *, size_t);
static void start_is_gone(struct link *);

static const struct role *self;
static struct link channel =
    LINK_DOWN("start", take_packet, NULL, start_is_gone);

static void
check_arguments(int argc, char **argv)
{
	if (argc == 1)
		return;
	args_answer(str_of(argv[1]), self->help);
	die(EXITCODE_PERMANENT,
	    "this program takes no arguments but --help and --version", 0);
}

static void
check_channel(void)
{
	int type = 0;
	socklen_t n = sizeof(type);
	if (getsockopt(ROLE_FD_START, SOL_SOCKET, SO_TYPE, &type, &n) < 0 ||
	    type != SOCK_SEQPACKET || fcntl(ROLE_FD_CONTROL, F_GETFD) < 0)
		die_do(EXITCODE_PERMANENT,
		    "this program is run by postern-start, not by hand", 0,
		    "run postern-start, which starts all roles");
	for (int fd = ROLE_FD_START; fd < ROLE_FD_MAX; fd++)
		if (io_cloexec(fd, true) < 0 && errno != EBADF)
			die(EXITCODE_TEMPORARY, "fcntl", errno);
	if (io_nonblock(ROLE_FD_START, true) < 0)
		die(EXITCODE_TEMPORARY, "fcntl", errno);
}

static pid_t own_pid;
/* a terminal's Ctrl-C and hang-up are for start alone */
static const int ignored[] = { SIGPIPE, SIGINT, SIGHUP };

/* Start keeps the last ones.  A child that this role forks has no channel, or
 * something else under that number. */
static void
tell_error(struct str line)
{
	char text[ROLE_ERROR_MAX + 8];
	struct buf b = BUF_ON(text);

	packet_begin(&b, 'E');
	packet_str(&b, str_head(line, ROLE_ERROR_MAX));
	if (getpid() == own_pid) /* one that does not fit is in the log */
		(void)packet_send(ROLE_FD_START, buf_str(&b), NULL, 0);
}

void
role_init(const struct role *role, int argc, char **argv)
{
	self = role;
	log_init(role->name);
	layout_init();
	check_arguments(argc, argv);
	check_channel();
	privs_require(role->user);
	own_pid = getpid();
	log_on_error(tell_error);
	for (size_t i = 0; i < N_ELEMENTS(ignored); i++)
		if (signal(ignored[i], SIG_IGN) == SIG_ERR)
			die(EXITCODE_TEMPORARY, "signal", errno);
	loop_init();
}

void
role_undo_signals(void)
{
	sigset_t none;
	sigemptyset(&none);
	for (size_t i = 0; i < N_ELEMENTS(ignored); i++)
		(void)signal(ignored[i], SIG_DFL);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void
take_link(struct packet *p, int *fds, size_t nfds)
{
	struct str peer = packet_get_str(p, LOG_LINE);
	if (!packet_end(p) || nfds != 1 || self->on_link == NULL ||
	    io_nonblock(fds[0], true) < 0) {
		LOG(ERROR, "bad-link", F_STR("peer", peer));
		return;
	}
	int fd = fds[0];
	fds[0] = -1;
	self->on_link(peer, fd);
}

static void
take_packet(struct link *l, struct packet *p, int *fds, size_t nfds)
{
	(void)l;
	if (p->type == 'L')
		take_link(p, fds, nfds);
	if (p->type == 'H' && self->on_reload != NULL)
		self->on_reload();
	if (p->type != 'Q')
		return;
	if (self->on_finish != NULL)
		self->on_finish();
	else
		loop_stop();
}

static void
start_is_gone(struct link *l)
{
	(void)l;
	LOG(INFO, "exit", F_TEXT("reason", "start is gone"));
	log_flush();
	_exit(EXITCODE_DONE);
}

void
role_ready(void)
{
	char text[2];
	struct buf ready = BUF_ON(text);
	packet_begin(&ready, 'R');
	packet_u8(&ready, (uint8_t)sandbox_landlock());
	if (packet_send(ROLE_FD_START, buf_str(&ready), NULL, 0) < 0 ||
	    !link_open(&channel, ROLE_FD_START))
		die(EXITCODE_TEMPORARY, "channel to start", errno);
}
