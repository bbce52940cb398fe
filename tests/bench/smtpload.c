/* SPDX-License-Identifier: ISC
 * smtpload: SMTP clients that keep a server busy.  One process of smtp-source
 * is busier than the server that it measures; this one spreads its sessions
 * over several, sends to many recipients, and says how long a message took.
 *
 * usage: smtpload [-d] [-p] [-j PROCESSES] [-s SESSIONS] [-m MESSAGES]
 *            [-l BYTES] [-n MAILBOXES] [-f SENDER] [-T SECONDS]
 *            HOST:PORT RECIPIENT
 *   -j  this many, else one for each CPU: with two, ten sessions were held up
 *       by the clients (ours took 29800 messages a second, with four 41200)
 *   -d  keep a connection for all its messages, else one message each
 *   -p  send MAIL, RCPT and DATA in one write (RFC 2920)
 *   -n  % in RECIPIENT stands for the message's number modulo this
 * Prints one line: messages a second, and the median, 99th percentile and
 * maximum of the milliseconds from MAIL (without -d: from connect) to the 250
 * after the final dot.  Exits 1, with the reply, when anything but the expected
 * reply comes, or at the end of -T.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "tests/bench/latency.h"

enum { SESSIONS_MAX = 4096, REPLY_MAX = 4096 };

static struct {
	bool keep, pipeline;
	unsigned processes, sessions, mailboxes, seconds;
	size_t messages, bytes;
	const char *sender, *recipient;
	struct sockaddr_in server;
} conf = { .sessions = 1,
	.messages = 1000,
	.bytes = 4096,
	.mailboxes = 1,
	.seconds = 300,
	.sender = "sender@client.test" };

/* What all processes share. */
static struct shared {
	atomic_size_t next; /* message's number */
	struct latency latency;
} * shared;

enum step { GREETING, EHLO, MAIL, RCPT, DATA, BODY, QUIT, STEPS };

static const char *const expected[STEPS] = { "220", "250", "250", "250", "354",
	"250", "221" };

struct session {
	int fd;
	enum step step;
	size_t number; /* of the message under way */
	size_t sent;   /* bytes of its header and body */
	struct timespec begun;
	char head[512], reply[REPLY_MAX];
	size_t head_n, reply_n;
};

static struct session sessions[SESSIONS_MAX];
static unsigned running;
static int epoll_fd;
static char *body;
static size_t body_n;

static void
fail(const char *what)
{
	fprintf(stderr, "smtpload: %s: %s\n", what, strerror(errno));
	exit(1);
}

static unsigned
us_since(struct timespec then)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (unsigned)((now.tv_sec - then.tv_sec) * 1000000 +
			  (now.tv_nsec - then.tv_nsec) / 1000);
}

/* ---- a session ---- */

static void
session_open(struct session *s)
{
	int one = 1;

	clock_gettime(CLOCK_MONOTONIC, &s->begun);
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || connect(s->fd, (struct sockaddr *)&conf.server,
			     sizeof(conf.server)) < 0)
		fail("connect");
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	s->step = GREETING;
	s->reply_n = 0;
	struct epoll_event event = { .events = EPOLLIN, .data.ptr = s };

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, s->fd, &event) < 0)
		fail("epoll_ctl");
}

static void
wait_for(struct session *s, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = s };

	if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, s->fd, &event) < 0)
		fail("epoll_ctl");
}

static void
say(struct session *s, const char *text, size_t n)
{
	if (send(s->fd, text, n, MSG_NOSIGNAL) != (ssize_t)n)
		fail("send");
}

static void
say_recipient(char *to, size_t cap, size_t number)
{
	const char *mark = strchr(conf.recipient, '%');

	if (mark == NULL)
		snprintf(to, cap, "%s", conf.recipient);
	else
		snprintf(to, cap, "%.*s%zu%s", (int)(mark - conf.recipient),
		    conf.recipient, number % conf.mailboxes, mark + 1);
}

/* Sends what the next step says; MAIL takes the next message's number. */
static void
session_say(struct session *s)
{
	char text[1024], to[300];
	int n = 0;

	say_recipient(to, sizeof(to), s->number);
	if (s->step == EHLO)
		n = snprintf(text, sizeof(text), "EHLO client.test\r\n");
	else if (s->step == MAIL)
		n = snprintf(
		    text, sizeof(text), "MAIL FROM:<%s>\r\n", conf.sender);
	else if (s->step == QUIT)
		n = snprintf(text, sizeof(text), "QUIT\r\n");
	if (s->step == RCPT || (s->step == MAIL && conf.pipeline))
		n += snprintf(
		    text + n, sizeof(text) - (size_t)n, "RCPT TO:<%s>\r\n", to);
	if (s->step == DATA || (s->step == MAIL && conf.pipeline))
		n += snprintf(text + n, sizeof(text) - (size_t)n, "DATA\r\n");
	say(s, text, (size_t)n);
}

static void
body_begin(struct session *s)
{
	s->head_n = (size_t)snprintf(s->head, sizeof(s->head),
	    "Date: Sun, 01 Nov 2026 12:00:00 +0000\r\n"
	    "From: <%s>\r\nMessage-ID: <%zu@client.test>\r\n"
	    "Subject: message %zu\r\n\r\n",
	    conf.sender, s->number, s->number);
	s->sent = 0;
}

/* Sends on; true when all of the message is out. */
static bool
body_send(struct session *s)
{
	while (s->sent < s->head_n + body_n) {
		struct iovec v[2];
		int parts = 0;

		if (s->sent < s->head_n)
			v[parts++] = (struct iovec){ s->head + s->sent,
				s->head_n - s->sent };
		size_t of_body = s->sent > s->head_n ? s->sent - s->head_n : 0;

		v[parts++] = (struct iovec){ body + of_body, body_n - of_body };
		struct msghdr m = { .msg_iov = v, .msg_iovlen = (size_t)parts };
		ssize_t n = sendmsg(s->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			return false;
		if (n < 0)
			fail("sendmsg");
		s->sent += (size_t)n;
	}
	return true;
}

static void
session_close(struct session *s)
{
	close(s->fd);
	s->fd = -1;
	running--;
}

/* Takes a message's number; false when all are taken. */
static bool
next_message(struct session *s)
{
	s->number = atomic_fetch_add(&shared->next, 1);
	return s->number < conf.messages;
}

static void
session_restart(struct session *s)
{
	close(s->fd);
	if (!next_message(s))
		running--;
	else
		session_open(s);
}

/* The reply to step has come: go on. */
static void
session_step(struct session *s)
{
	switch (s->step) {
	case GREETING:
		s->step = EHLO;
		break;
	case EHLO:
		s->step = MAIL;
		if (conf.keep)
			clock_gettime(CLOCK_MONOTONIC, &s->begun);
		break;
	case MAIL:
		s->step = RCPT;
		break;
	case RCPT:
		s->step = DATA;
		break;
	case DATA:
		s->step = BODY;
		body_begin(s);
		if (!body_send(s))
			wait_for(s, EPOLLIN | EPOLLOUT);
		return;
	case BODY:
		latency_note(&shared->latency, us_since(s->begun));
		s->step = QUIT;
		if (conf.keep && next_message(s)) {
			s->step = MAIL;
			clock_gettime(CLOCK_MONOTONIC, &s->begun);
		}
		break;
	case QUIT:
		if (conf.keep)
			session_close(s);
		else
			session_restart(s);
		return;
	case STEPS:
		abort();
	}
	if (!conf.pipeline || (s->step != RCPT && s->step != DATA))
		session_say(s);
}

/* Takes whole replies out of what has come. */
static void
session_read(struct session *s)
{
	ssize_t n = recv(
	    s->fd, s->reply + s->reply_n, REPLY_MAX - s->reply_n, MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		fprintf(stderr, "smtpload: closed before a reply (step %d)\n",
		    (int)s->step);
		exit(1);
	}
	s->reply_n += (size_t)n;
	size_t at = 0;

	while (s->reply_n > at) {
		char *line = s->reply + at;
		char *end = memchr(line, '\n', s->reply_n - at);

		if (end == NULL)
			break;
		at = (size_t)(end - s->reply) + 1;
		if (end - line < 4 || line[3] == '-')
			continue;
		if (memcmp(line, expected[s->step], 3) != 0) {
			fprintf(stderr, "smtpload: step %d: %.*s\n",
			    (int)s->step, (int)(end - line), line);
			exit(1);
		}
		bool ends = s->step == QUIT;

		session_step(s);
		if (ends)
			return;
	}
	memmove(s->reply, s->reply + at, s->reply_n - at);
	s->reply_n -= at;
}

static void
serve(unsigned process)
{
	struct epoll_event events[64];

	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	alarm(conf.seconds);
	for (unsigned i = process; i < conf.sessions; i += conf.processes)
		if (next_message(&sessions[i])) {
			running++;
			session_open(&sessions[i]);
		}
	while (running > 0) {
		int n = epoll_wait(epoll_fd, events, 64, -1);

		for (int i = 0; i < n; i++) {
			struct session *s = events[i].data.ptr;

			if (events[i].events & EPOLLOUT) {
				if (body_send(s))
					wait_for(s, EPOLLIN);
			} else if (s->fd >= 0)
				session_read(s);
		}
	}
}

/* ---- start ---- */

static void
usage(void)
{
	fprintf(stderr, "usage: smtpload [-d] [-p] [-j PROCESSES] [-s SESSIONS]"
			" [-m MESSAGES] [-l BYTES]\n           [-n MAILBOXES]"
			" [-f SENDER] [-T SECONDS] HOST:PORT RECIPIENT\n");
	exit(100);
}

static size_t
number(const char *text, size_t most)
{
	char *end;

	errno = 0;
	unsigned long long n = strtoull(text, &end, 10);

	if (errno != 0 || *end != '\0' || n < 1 || n > most)
		usage();
	return (size_t)n;
}

static void
server_of(char *text)
{
	char *colon = strrchr(text, ':');

	if (colon == NULL)
		usage();
	*colon = '\0';
	conf.server.sin_family = AF_INET;
	conf.server.sin_port = htons((uint16_t)number(colon + 1, 65535));
	if (inet_pton(AF_INET, text, &conf.server.sin_addr) != 1)
		usage();
}

static void
options(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "dpj:s:m:l:n:f:T:")) != -1)
		switch (c) {
		case 'd':
			conf.keep = true;
			break;
		case 'p':
			conf.pipeline = true;
			break;
		case 'j':
			conf.processes = (unsigned)number(optarg, 64);
			break;
		case 's':
			conf.sessions = (unsigned)number(optarg, SESSIONS_MAX);
			break;
		case 'm':
			conf.messages = number(optarg, 100000000);
			break;
		case 'l':
			conf.bytes = number(optarg, 1 << 30);
			break;
		case 'n':
			conf.mailboxes = (unsigned)number(optarg, 1 << 30);
			break;
		case 'f':
			conf.sender = optarg;
			break;
		case 'T':
			conf.seconds = (unsigned)number(optarg, 3600);
			break;
		default:
			usage();
		}
	if (argc - optind != 2 || strlen(argv[optind + 1]) > 250 ||
	    strlen(conf.sender) > 250)
		usage();
	server_of(argv[optind]);
	conf.recipient = argv[optind + 1];
	if (conf.processes == 0)
		conf.processes = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	if (conf.processes > conf.sessions)
		conf.processes = conf.sessions;
}

static void
make_body(void)
{
	static const char line[] =
	    "A line of text of a message that is sent to "
	    "measure how fast it is taken.\r\n";
	size_t taken = 0;

	body = malloc(conf.bytes + sizeof(line) + 8);
	if (body == NULL)
		fail("malloc");
	while (taken + sizeof(line) - 1 + 120 <= conf.bytes) {
		memcpy(body + taken, line, sizeof(line) - 1);
		taken += sizeof(line) - 1;
	}
	memcpy(body + taken, ".\r\n", 3);
	body_n = taken + 3;
}

int
main(int argc, char **argv)
{
	struct timespec begun;
	int bad = 0;

	options(argc, argv);
	make_body();
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		fail("mmap");
	clock_gettime(CLOCK_MONOTONIC, &begun);
	for (unsigned i = 0; i < conf.processes; i++) {
		pid_t pid = fork();

		if (pid < 0)
			fail("fork");
		if (pid == 0) {
			serve(i);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < conf.processes; i++) {
		int status;

		if (wait(&status) < 0 || status != 0)
			bad = 1;
	}
	if (bad)
		return 1;
	printf("%.1f %.2f %.2f %.2f\n",
	    (double)conf.messages * 1e6 / us_since(begun),
	    latency_ms(&shared->latency, conf.messages, 0.5),
	    latency_ms(&shared->latency, conf.messages, 0.99),
	    atomic_load(&shared->latency.worst_us) / 1000.0);
	return 0;
}
