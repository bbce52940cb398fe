/* SPDX-License-Identifier: ISC
 * postern-smtpd: SMTP of strangers (RFC 5321), as user posternd.
 *
 * With --template it is the role that postern-start runs: it forks a child for
 * each connection that postern-listen hands over.  Without arguments it serves
 * the one connection on its standard input and output, as tcpserver and inetd
 * start it; with --local it does so for a user of this host (sendmail -bs), as
 * whom queued knows it.  In each way a session holds its descriptors and can
 * get no others.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "common/address.h"
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
#include "smtpd/reply.h"
#include "smtpd/serve.h"

static const char help[] =
    "usage: postern-smtpd            serve the connection on fd 0 and 1\n"
    "       postern-smtpd --local    the same, for a user of this host\n"
    "       postern-smtpd --template run by postern-start\n"
    "       postern-smtpd --help | --version\n"
    "The SMTP server; see postern-smtpd(8).\n";

#define ALLOW_SESSION                                                          \
	ALLOW(poll, "waits with a deadline"),                                  \
	    ALLOW_IF(setsockopt, 3, SO_RCVTIMEO, "the kernel times reads")

static const struct sandbox_rule template_rules[] = {
	ALLOW_TEMPLATE,
	ALLOW_SESSION,
};

static const struct sandbox_rule lone_rules[] = {
	ALLOW_SESSION,
	ALLOW(sendto, "replies; questions to userd"),
	ALLOW(sendmsg, "frames to queued"),
	ALLOW(recvfrom, "answers of queued"),
	ALLOW(recvmsg, "answers of userd"),
	ALLOW(shutdown, "the last reply before we hang up"),
};

static const struct sandbox template_sandbox = {
	.role = "smtpd",
	.rules = template_rules,
	.rule_count = N_ELEMENTS(template_rules),
};

static const struct sandbox lone_sandbox = {
	.role = "smtpd",
	.rules = lone_rules,
	.rule_count = N_ELEMENTS(lone_rules),
};

/* ---- configuration ---- */

static struct {
	struct session_config session;
	uint64_t timeout_s;
	bool filter; /* there is a program before the queue */
	char me[LIMIT_DOMAIN + 1];
	char greeting[REPLY_TEXT_MAX];
} conf;

static void
conf_load(int dirfd)
{
	struct buf me = BUF_ON(conf.me);
	struct buf greeting = BUF_ON(conf.greeting);
	char text[CONTROL_LINE_MAX];
	struct buf filter = BUF_ON(text);

	if (control_line(dirfd, "me", &me) < 0 ||
	    control_line(dirfd, "smtpgreeting", &greeting) < 0 ||
	    control_number(dirfd, "databytes", &conf.session.databytes) < 0 ||
	    control_number(dirfd, "timeoutsmtpd", &conf.timeout_s) < 0 ||
	    control_line(dirfd, "filter", &filter) < 0)
		die_do(EXITCODE_PERMANENT, "the control files are wrong", 0,
		    "postern check says which, and how to write them");
	if (str_eq(buf_str(&me), buf_str(&greeting)))
		buf_puts(&greeting, " ESMTP Postern");
	if (!address_is_domain(buf_str(&me)))
		die(EXITCODE_PERMANENT, "control/me is no host name", 0);
	conf.filter = buf_str(&filter).n > 0;
	conf.session.me = buf_str(&me);
	conf.session.greeting = buf_str(&greeting);
}

static int
timeout_ms(void)
{
	return (int)conf.timeout_s * 1000;
}

/* ---- one session of the template ---- */

enum { FD_NET, FD_STREAM, FD_ASK, FD_LIFE, FD_COUNT };

static void
template_prepare(void)
{
	conf_load(ROLE_FD_CONTROL);
}

static void
template_serve(const struct template_session *s)
{
	const struct serve_client client = {
		.in = s->fds[FD_NET],
		.out = s->fds[FD_NET],
		.stream_fd = s->fds[FD_STREAM],
		.ask_fd = s->fds[FD_ASK],
		.sid = s->sid,
		.peer_ip = s->peer_ip,
		.relay = s->relay,
	};

	serve(&client, &conf.session, timeout_ms());
}

static const struct template_service service = {
	.role = "smtpd",
	.user = "posternd",
	.help = help,
	.peer = "listen-smtp",
	.fd_count = FD_COUNT,
	.max_sessions = 5000,
	.refusal = "421 4.3.2 Too busy, try again later\r\n",
	.sandbox = &template_sandbox,
	.prepare = template_prepare,
	.serve = template_serve,
};

/* ---- a session of its own ---- */

struct arguments {
	bool local; /* sendmail -bs: the user who runs us is the client */
	struct str peer_ip;   /* TCPREMOTEIP; empty: not set */
	struct str peer_name; /* TCPREMOTEHOST */
	bool relay;	      /* RELAYCLIENT */
	struct str databytes; /* DATABYTES */
};

static const char no_service[] =
    "421 4.3.0 Service not available now, try again later\r\n";

static void
args_parse(int argc, char **argv, struct arguments *a)
{
	struct str arg = argc == 2 ? str_of(argv[1]) : STR("");

	args_answer(arg, help);
	die_last_words(STDOUT_FILENO, no_service);
	*a = (struct arguments){ .local = str_eq(arg, STR("--local")) };
	if (a->local)
		return;
	if (argc > 1)
		die(EXITCODE_PERMANENT, "unknown argument; see --help", 0);
	const char *relay = getenv("RELAYCLIENT");
	a->peer_ip = str_of(getenv("TCPREMOTEIP"));
	a->peer_name = str_of(getenv("TCPREMOTEHOST"));
	a->relay = relay != NULL;
	a->databytes = str_of(getenv("DATABYTES"));
	if (a->relay && relay[0] != '\0')
		die(EXITCODE_PERMANENT,
		    "RELAYCLIENT must be empty: nothing is appended to "
		    "recipients; use control/smtproutes or virtualdomains",
		    0);
	if (a->peer_name.n > LIMIT_DOMAIN || !address_is_domain(a->peer_name))
		a->peer_name = STR(""); /* the client's DNS made it */
}

/* A socket of the suite below run/; -1 with errno. */
static int
connect_to(const char *name, int type)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct buf path = BUF_ON(sa.sun_path);

	(void)layout_file(LAYOUT_RUN, name, &path);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	if (fd >= 0 &&
	    connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0) {
		LOG(ERROR, "connect", F_TEXT("to", name), F_ERRNO(errno),
		    F_TEXT("fix", "does postern-start run?"));
		io_close(&fd);
	}
	return fd;
}

/* The peer's address as text, canonical; nothing when it is not known. */
static void
put_peer_ip(struct buf *out, struct str from_environment)
{
	struct sockaddr_storage sa;
	socklen_t n = sizeof(sa);
	struct ip ip;
	uint16_t port;

	if (ip_parse(from_environment, &ip) ||
	    (getpeername(STDIN_FILENO, (struct sockaddr *)&sa, &n) == 0 &&
		ip_from_sockaddr(&sa, &ip, &port)))
		ip_put(out, &ip);
}

static void
put_sid(struct buf *out)
{
	buf_put_hex64(out, (uint64_t)clock_now_us());
	buf_putc(out, '-');
	buf_put_u64(out, (uint64_t)getpid());
}

/* The smaller one holds: queued holds all mail to control/databytes. */
static void
take_databytes(struct str text)
{
	uint64_t *most = &conf.session.databytes;
	uint64_t n;

	if (text.n == 0)
		return;
	if (!str_u64(text, UINT64_MAX, &n))
		die(EXITCODE_PERMANENT, "DATABYTES is no number", 0);
	if (n > 0 && (*most == 0 || n < *most))
		*most = n;
}

static void
control_open(const struct arguments *a)
{
	int dirfd = open(
	    layout_path(LAYOUT_CONTROL), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dirfd < 0)
		die(EXITCODE_TEMPORARY, "control directory", errno);
	conf_load(dirfd);
	close(dirfd);
	take_databytes(a->databytes);
}

/* "uid N", which stands in Received for the name of a local client. */
static void
put_uid(struct buf *out)
{
	buf_puts(out, "uid ");
	buf_put_u64(out, getuid());
}

static int
lone_session(const struct arguments *a)
{
	char sid_storage[LIMIT_SID], ip_storage[LIMIT_PEER], uid_storage[24];
	struct buf sid = BUF_ON(sid_storage), ip = BUF_ON(ip_storage);
	struct buf uid = BUF_ON(uid_storage);

	control_open(a);
	put_sid(&sid);
	if (a->local)
		put_uid(&uid);
	else
		put_peer_ip(&ip, a->peer_ip);
	/* mail of this host's users does not pass the filter */
	bool to_filter = conf.filter && !a->local;
	const struct serve_client client = {
		.in = STDIN_FILENO,
		.out = STDOUT_FILENO,
		.stream_fd =
		    connect_to(to_filter ? "filter" : "queue", SOCK_STREAM),
		.ask_fd = connect_to("users", SOCK_SEQPACKET),
		.sid = buf_str(&sid),
		.peer_ip = buf_str(&ip),
		.peer_name = a->local ? buf_str(&uid) : a->peer_name,
		.relay = a->local || a->relay,
		.say_facts = !a->local,
	};

	/* queued and userd have seen who connected: root need not go on */
	if (a->local && getuid() == 0)
		privs_require("posternd");
	sandbox_enter(&lone_sandbox);
	die_last_words(STDOUT_FILENO, NULL);
	serve(&client, &conf.session, timeout_ms());
	return client.stream_fd < 0 ? EXITCODE_TEMPORARY : EXITCODE_DONE;
}

int
main(int argc, char **argv)
{
	struct arguments arguments;

	if (template_wanted(argc, argv))
		return template_run(&service, argc, argv);
	log_init("smtpd");
	(void)log_off_network(); /* without a log rather than not at all */
	args_parse(argc, argv, &arguments);
	if (arguments.local)
		(void)log_to_syslog(); /* fd 2 is the user's terminal */
	layout_init();
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		die(EXITCODE_TEMPORARY, "signal", errno);
	if (!arguments.local)
		privs_require_beside("posternd", layout_path(LAYOUT_RUN));
	return lone_session(&arguments);
}
