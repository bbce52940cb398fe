/* SPDX-License-Identifier: ISC
 * byhand: contract in byhand.h.  Runs as whoever calls it (root: as posternr).
 *
 * A straight script: settings, message, then address after address.  Connecting
 * is done here; SMTP is spoken by a child in its sandbox (attempt.c), and DNS
 * by a process of its own (ask.c).
 */
#include "send/byhand.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/address.h"
#include "common/args.h"
#include "common/control.h"
#include "common/exitcode.h"
#include "common/io.h"
#include "common/layout.h"
#include "common/log.h"
#include "common/privs.h"
#include "common/sandbox.h"
#include "send/ask.h"
#include "send/attempt.h"
#include "send/dialconf.h"
#include "send/results.h"
#include "send/thishost.h"

const char byhand_help[] =
    "usage: postern-remote [--text | --nul] [--exit-status] [-v]\n"
    "                      HOST SENDER RECIPIENT ... <MESSAGE\n"
    "       postern-remote          run by postern-start\n\n"
    "Sends a message now, without the queue.  HOST is a domain, whose MX is\n"
    "asked (control/smtproutes first), or one server: [192.0.2.1], name:port.\n"
    "Reports come as qmail-remote's: r h s for each recipient, then K Z D, a\n"
    "NUL behind each; on a terminal, and with --text, in lines for people.\n"
    "  --exit-status  0 all taken, 1 some or all refused for good,\n"
    "                 111 some or all to be tried again\n"
    "  -v             the log of what was done, on standard error\n"
    "Exit status: 0 reports were printed, 100 wrong usage or configuration,\n"
    "111 no report could be made.  See postern-remote(8).\n";

static const struct sandbox_rule rules[] = {
	ALLOW(poll, "waits for the server and for its parent"),
	ALLOW(sendto, "commands"),
	ALLOW(recvfrom, "replies"),
	ALLOW(sendmsg, "reports"),
	ALLOW(recvmsg, "jobs"),
	ALLOW(pread64, "the message"),
};

static struct {
	struct results_form form;
	bool verbose;
	struct str host;
	struct buf text; /* the addresses */
	char **recipients;
	struct attempt_mail mail;
	struct dialconf *conf;
	char helo[CONTROL_LINE_MAX];
	size_t helo_n;
	uint64_t strict7bit, timeout, databytes;
	struct walk walk;
} self;

/* One line on standard error; returns code. */
static int
complain(int code, const char *what, const char *about)
{
	char room[LIMIT_REPORT * 2];
	struct buf b = BUF_ON(room);

	buf_puts(&b, "postern-remote: ");
	buf_puts(&b, what);
	if (about[0] != '\0') {
		buf_puts(&b, ": ");
		log_safe(&b, str_of(about), LIMIT_REPORT);
	}
	buf_putc(&b, '\n');
	/* should nobody hear it, the exit code tells */
	(void)io_write_all(STDERR_FILENO, buf_str(&b));
	return code;
}

/* ---- arguments ---- */

static bool
option(const char *arg)
{
	if (strcmp(arg, "--text") == 0)
		self.form.text = true;
	else if (strcmp(arg, "--nul") == 0)
		self.form.text = false;
	else if (strcmp(arg, "--exit-status") == 0)
		self.form.exit_status = true;
	else if (strcmp(arg, "-v") == 0)
		self.verbose = true;
	else
		return false;
	return true;
}

/* The canonical form, kept in self.text; empty: no address. */
static struct str
canonical(const char *arg)
{
	struct address a;
	size_t at = self.text.n;

	if (address_parse(str_of(arg), true, &a) != ADDRESS_OK)
		return STR("");
	address_put(&self.text, a);
	return str_skip(buf_str(&self.text), at);
}

static int
take_sender(const char *arg)
{
	if (arg[0] == '\0' || strcmp(arg, "<>") == 0)
		return 0;
	self.mail.sender = canonical(arg);
	if (self.mail.sender.n > 0)
		return 0;
	return complain(EXITCODE_PERMANENT,
	    "the sender is no mail address (write '' for none)", arg);
}

static int
take_addresses(const char *sender, char **argv, size_t count)
{
	static const char wrong[] = "5.1.3 this is no mail address";
	size_t cap = (count + 1) * LIMIT_ADDRESS;

	self.mail.recipients = calloc(count, sizeof(*self.mail.recipients));
	self.text = (struct buf){ .p = malloc(cap), .cap = cap };
	if (self.mail.recipients == NULL || self.text.p == NULL)
		return complain(EXITCODE_TEMPORARY, "out of memory", "");
	self.mail.count = count;
	self.recipients = argv;
	for (size_t i = 0; i < count; i++) {
		struct attempt_recipient *r = &self.mail.recipients[i];

		r->address = canonical(argv[i]);
		if (r->address.n == 0)
			attempt_decide(r, VERDICT_FAIL, STR(wrong));
	}
	return take_sender(sender);
}

static int
args_parse(int argc, char **argv)
{
	int at = 1;

	self.form.text = isatty(STDOUT_FILENO) == 1;
	if (argc == 2)
		args_answer(str_of(argv[1]), byhand_help);
	while (at < argc && argv[at][0] == '-' && option(argv[at]))
		at++;
	if (argc - at < 3 || argv[at][0] == '-') {
		return complain(EXITCODE_PERMANENT,
		    "usage: postern-remote HOST SENDER RECIPIENT ... "
		    "<MESSAGE; see --help",
		    "");
	}
	self.host = str_of(argv[at]);
	return take_addresses(
	    argv[at + 1], argv + at + 2, (size_t)(argc - at - 2));
}

/* ---- settings ---- */

static void
on_mistake(const char *file, unsigned line, const char *what)
{
	char room[LIMIT_REPORT];
	struct buf b = BUF_ON(room);

	buf_puts(&b, layout_path(LAYOUT_CONTROL));
	buf_putc(&b, '/');
	buf_puts(&b, file);
	buf_putc(&b, ':');
	buf_put_u64(&b, line);
	const char *place = buf_cstr(&b);
	(void)complain(0, place == NULL ? file : place, what);
}

static int
read_settings(void)
{
	struct buf helo = BUF_ON(self.helo);
	int dirfd = open(
	    layout_path(LAYOUT_CONTROL), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dirfd < 0)
		return complain(EXITCODE_TEMPORARY, layout_path(LAYOUT_CONTROL),
		    strerror(errno));
	control_on_mistake(on_mistake);
	self.conf = dialconf_load(dirfd);
	bool good =
	    self.conf != NULL && control_line(dirfd, "helohost", &helo) == 0 &&
	    control_number(dirfd, "strict7bit", &self.strict7bit) == 0 &&
	    control_number(dirfd, "timeoutremote", &self.timeout) == 0 &&
	    control_number(dirfd, "databytes", &self.databytes) == 0;
	if (good && helo.n == 0)
		good = control_line(dirfd, "me", &helo) == 0;
	io_close(&dirfd);
	self.helo_n = helo.n;
	if (!good)
		return complain(EXITCODE_PERMANENT,
		    "the settings are wrong; `postern check` has them all", "");
	if (!address_is_domain(buf_str(&helo)) &&
	    !address_is_literal(buf_str(&helo)))
		return complain(EXITCODE_PERMANENT,
		    "control/helohost (or me) is no host name", "");
	return 0;
}

static int
prepare(void)
{
	log_init("remote");
	layout_init();
	privs_require("posternr");
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return complain(EXITCODE_TEMPORARY, "signal", strerror(errno));
	if (dialconf_own_addresses() < 0)
		return complain(
		    EXITCODE_TEMPORARY, "cannot start", strerror(errno));
	return read_settings();
}

/* ---- where to ---- */

/* "[IPv6:2001:db8::1]" and "192.0.2.1:25" are read as smtproutes would. */
static int
walk_start(void)
{
	const struct walk_world *world = dialconf_world(self.conf);
	char room[LIMIT_DOMAIN + 16];
	struct buf line = BUF_ON(room);
	struct str host = self.host;
	struct route route;
	struct ip ip;
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		return complain(EXITCODE_TEMPORARY, "no random numbers", "");
	bool bracketed = str_starts(host, STR("["));
	if (ip_parse(host, &ip)) {
		walk_begin_at(&self.walk, world, host, ROUTE_PORT, seed);
	} else if (!bracketed && str_find(host, ':') == host.n) {
		walk_begin(&self.walk, world, host, seed);
	} else {
		buf_puts(&line, bracketed ? ":[" : ":");
		host = str_skip(host, bracketed);
		if (bracketed && str_istarts(host, STR("IPv6:")))
			host = str_skip(host, 5);
		buf_put(&line, host);
		if (line.full || route_parse(buf_str(&line), &route) != NULL)
			return complain(EXITCODE_PERMANENT,
			    "HOST is a domain, name:port, [IP] or [IP]:port",
			    self.host.p);
		walk_begin_at(&self.walk, world, route.host, route.port, seed);
	}
	return 0;
}

/* The connection, or -1 with errno. */
static int
connect_to(const struct walk_target *t)
{
	struct sockaddr_storage to;
	const int on = 1;
	int error = 0;
	socklen_t n = ip_to_sockaddr(&t->ip, t->port, &to);
	socklen_t size = sizeof(error);
	int fd =
	    socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&to, n) < 0)
		error = errno;
	if (error == EINPROGRESS) {
		int ready =
		    io_wait(fd, true, (int)dialconf_connect_ms(self.conf));
		if (ready == 0)
			error = ETIMEDOUT;
		else if (ready < 0 || getsockopt(fd, SOL_SOCKET, SO_ERROR,
					  &error, &size) < 0)
			error = errno;
	}
	if (error == 0 &&
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0)
		return fd;
	io_close(&fd);
	errno = error != 0 ? error : EIO;
	return -1;
}

/* ---- sending ---- */

/* In the child, before it hears a byte: of our descriptors it keeps none that a
 * caller could be waiting on. */
static void
confine(void)
{
	static const struct sandbox sandbox = { .role = "remote",
		.rules = rules,
		.rule_count = N_ELEMENTS(rules) };

	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0 ||
	    dup2(null, STDOUT_FILENO) < 0 ||
	    (!self.verbose && dup2(null, STDERR_FILENO) < 0))
		_exit(EXITCODE_TEMPORARY);
	io_close(&null);
	sandbox_enter(&sandbox);
}

static void
send_over(int net, const struct walk_target *t, struct attempt_end *end)
{
	char room[LIMIT_PEER];
	struct buf ip = BUF_ON(room);

	ip_put(&ip, &t->ip);
	const struct delivery_setup setup = {
		.net = net,
		.host = t->host,
		.ip = buf_str(&ip),
		.helo = { self.helo, self.helo_n },
		.strict7bit = self.strict7bit != 0,
		.timeout_cap = (unsigned)self.timeout,
	};
	attempt_run(&setup, &self.mail, confine, end);
}

/* The first deferral counts; while there is none, the last refusal: what one
 * server refuses for good another may still take. */
static void
note(struct attempt_end *worst, enum verdict verdict, struct str text)
{
	if (worst->failed && worst->verdict != VERDICT_FAIL)
		return;
	text = str_head(text, sizeof(worst->text));
	worst->failed = true;
	worst->verdict = verdict;
	worst->text_n = text.n;
	memcpy(worst->text, text.p, text.n);
}

/* True when nobody is left to send to. */
static bool
try_target(const struct walk_target *t, struct attempt_end *worst)
{
	struct attempt_end end;
	int net = connect_to(t);

	if (net < 0) {
		walk_failed(&self.walk, t, strerror(errno));
		note(worst, VERDICT_DEFER,
		    (struct str){ self.walk.text, self.walk.text_n });
		return false;
	}
	send_over(net, t, &end);
	if (!end.failed)
		return true;
	walk_failed(&self.walk, t, "it serves nobody");
	note(worst, end.verdict, (struct str){ end.text, end.text_n });
	return false;
}

static void
send_all(struct attempt_end *worst)
{
	struct walk_target target;

	for (;;) {
		switch (walk_next(&self.walk, &target)) {
		case WALK_ASK:
			ask_all(&self.walk);
			break;
		case WALK_CONNECT:
			if (!self.walk.routed && thishost_has(&target.ip))
				walk_met_self(&self.walk);
			else if (try_target(&target, worst))
				return;
			break;
		case WALK_OVER:
			/* without any attempt only the walk knows why */
			if (!worst->failed)
				note(worst, self.walk.verdict,
				    (struct str){
					self.walk.text, self.walk.text_n });
			return;
		}
	}
}

static bool
anybody_left(void)
{
	for (size_t i = 0; i < self.mail.count; i++)
		if (!self.mail.recipients[i].decided)
			return true;
	return false;
}

int
byhand_run(int argc, char **argv)
{
	struct attempt_end worst = { .failed = false };
	int code = args_parse(argc, argv);

	if (code == 0)
		code = prepare();
	if (code == 0)
		code = walk_start();
	if (code != 0)
		return code;
	const char *wrong =
	    message_read(STDIN_FILENO, self.databytes, &self.mail.message);
	if (wrong != NULL)
		note(&worst, wrong[0] == '4' ? VERDICT_DEFER : VERDICT_FAIL,
		    str_of(wrong));
	else if (anybody_left() && ask_start(self.verbose) < 0)
		return complain(EXITCODE_TEMPORARY, "cannot start postern-dnsd",
		    strerror(errno));
	else if (anybody_left())
		send_all(&worst);
	return results_print(&self.form, self.host, self.recipients, &self.mail,
	    worst.failed ? &worst : NULL);
}
