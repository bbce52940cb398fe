/* SPDX-License-Identifier: ISC
 * postern-popup: POP3 of strangers, before login.  Runs as posternp.
 *
 * As a role (postern-popup --template): a template that forks a session for
 * each connection of listen-pop3.  By hand, under tcpserver or inetd: serves fd
 * 0 and 1, and stays until the session that it handed over has ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "common/args.h"
#include "common/clock.h"
#include "common/control.h"
#include "common/die.h"
#include "common/io.h"
#include "common/ip.h"
#include "common/layout.h"
#include "common/log.h"
#include "common/privs.h"
#include "common/role.h"
#include "common/template.h"
#include "pop3d/login.h"

/* What a session needs, in the template's child or by hand. */
#define ALLOW_LOGIN                                                            \
	ALLOW(poll, "wait for the client, for userd"),                         \
	    ALLOW_IF(setsockopt, 3, SO_RCVTIMEO, "the timeout goes along"),    \
	    ALLOW_IF(setsockopt, 3, SO_SNDTIMEO, "the timeout goes along")

static const struct sandbox_rule template_rules[] = { ALLOW_TEMPLATE,
	ALLOW_LOGIN };
static const struct sandbox_rule hand_rules[] = {
	ALLOW_LOGIN,
	ALLOW(sendmsg, "the login, with the connection"),
	ALLOW(recvmsg, "userd's answer"),
};

enum {
	SESSIONS_MAX = 5000, /* then another template takes over */
	OUTPUT_ROOM = 2048,
	TIMEOUT_S = 600
};

enum session_fd { SESSION_CONNECTION, SESSION_ASK, SESSION_LIFE, SESSION_FDS };

static struct {
	struct login login;
	uint64_t timeout_s;
	char input[LOGIN_ALREADY_READ], output[OUTPUT_ROOM];
	char packet[PACKET_MAX];
} self = { .timeout_s = TIMEOUT_S };

static const char help[] =
    "usage: postern-popup [--template]\n"
    "Serves POP3 on fd 0 and 1 up to the login, as under tcpserver or inetd.\n"
    "With --template: run by postern-start (see postern-popup(8)).\n";

static enum login_end
serve(int in_fd, int out_fd, int ask_fd, int life_fd, struct str sid)
{
	struct login *l = &self.login;

	*l = (struct login){ .ask_fd = ask_fd,
		.life_fd = life_fd,
		.sid = sid,
		.packet = self.packet };
	conn_init(&l->conn, in_fd, out_fd, (int)self.timeout_s * 1000,
	    self.input, sizeof(self.input), self.output, sizeof(self.output));
	return login_run(l);
}

/* ---- as a role ---- */

static void
prepare(void)
{
	/* a bad setting has been logged, and the default serves */
	(void)control_number(ROLE_FD_CONTROL, "timeoutpop3", &self.timeout_s);
}

static void
serve_session(const struct template_session *t)
{
	(void)serve(t->fds[SESSION_CONNECTION], t->fds[SESSION_CONNECTION],
	    t->fds[SESSION_ASK], t->fds[SESSION_LIFE], t->sid);
}

static int
run_template(int argc, char **argv)
{
	static const struct sandbox sandbox = { .role = "popup",
		.rules = template_rules,
		.rule_count = N_ELEMENTS(template_rules) };
	static const struct template_service service = { .role = "popup",
		.user = "posternp",
		.help = help,
		.peer = "listen-pop3",
		.fd_count = SESSION_FDS,
		.max_sessions = SESSIONS_MAX,
		.refusal = "-ERR [SYS/TEMP] Too busy, try again later\r\n",
		.sandbox = &sandbox,
		.prepare = prepare,
		.serve = serve_session };

	return template_run(&service, argc, argv);
}

/* ---- by hand ---- */

static const char no_service[] =
    "-ERR [SYS/TEMP] no service now, try again later\r\n";

static int
connect_userd(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct buf path = BUF_ON(sa.sun_path);
	(void)layout_file(LAYOUT_RUN, "users", &path);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0 ||
	    connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) != 0)
		die(EXITCODE_TEMPORARY,
		    "cannot connect to userd: does postern-start run?", errno);
	return fd;
}

/* The client's address: tcpserver's word, or the socket's. */
static void
put_peer(struct buf *b, const char *tcpremoteip)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);
	struct ip ip;
	uint16_t port;

	if (ip_parse(str_of(tcpremoteip), &ip) ||
	    (getpeername(STDIN_FILENO, (struct sockaddr *)&ss, &n) == 0 &&
		ip_from_sockaddr(&ss, &ip, &port)))
		ip_put(b, &ip);
	else
		buf_puts(b, "-");
}

static void
introduce(int ask_fd, struct str sid, const char *tcpremoteip)
{
	struct buf b = BUF_ON(self.packet);
	char text[LIMIT_PEER];
	struct buf peer = BUF_ON(text);

	put_peer(&peer, tcpremoteip);
	packet_begin(&b, 'P');
	packet_str(&b, sid);
	packet_str(&b, buf_str(&peer));
	packet_str(&b, STR("pop3"));
	if (packet_send(ask_fd, buf_str(&b), NULL, 0) != 0)
		die(EXITCODE_TEMPORARY, "userd", errno);
}

static void
read_settings(void)
{
	int dirfd = open(
	    layout_path(LAYOUT_CONTROL), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dirfd < 0)
		return; /* the default serves */
	(void)control_number(dirfd, "timeoutpop3", &self.timeout_s);
	close(dirfd);
}

/* As tcpserver and inetd count it, the session lasts until pop3d ends. */
static void
wait_for_end(int *life_fd, int end_fd)
{
	char c;

	io_close(life_fd);
	while (read(end_fd, &c, 1) < 0 && errno == EINTR)
		continue;
}

static int
run_by_hand(const char *tcpremoteip)
{
	static const struct sandbox sandbox = { .role = "popup",
		.rules = hand_rules,
		.rule_count = N_ELEMENTS(hand_rules) };
	char text[LIMIT_SID];
	struct buf sid = BUF_ON(text);
	int life[2];

	layout_init();
	read_settings();
	privs_require_beside("posternp", layout_path(LAYOUT_RUN));
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || pipe2(life, O_CLOEXEC) != 0)
		die(EXITCODE_TEMPORARY, "pipe", errno);
	int ask_fd = connect_userd();
	buf_put_hex64(&sid, (uint64_t)clock_now_us());
	introduce(ask_fd, buf_str(&sid), tcpremoteip);
	sandbox_enter(&sandbox);
	die_last_words(STDOUT_FILENO, NULL);
	if (serve(STDIN_FILENO, STDOUT_FILENO, ask_fd, life[1],
		buf_str(&sid)) == LOGIN_HANDED)
		wait_for_end(&life[1], life[0]);
	return EXITCODE_DONE;
}

int
main(int argc, char **argv)
{
	struct str arg = argc == 2 ? str_of(argv[1]) : STR("");

	if (template_wanted(argc, argv))
		return run_template(argc, argv);
	log_init("popup");
	(void)log_off_network(); /* without a log rather than not at all */
	args_answer(arg, help);
	die_last_words(STDOUT_FILENO, no_service);
	if (argc == 1)
		return run_by_hand(getenv("TCPREMOTEIP"));
	die(EXITCODE_PERMANENT, "wrong arguments; see --help", 0);
}
