/* SPDX-License-Identifier: ISC
 * bench_smtpd: what postern-smtpd alone costs.  Plays start, listen, queued,
 * userd and the clients around one template, without a disk.
 *
 * usage: bench_smtpd PROGRAM CONTROL-DIRECTORY WORKERS SECONDS MESSAGES [BODY]
 * MESSAGES a session; prints sessions and messages a second.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/packet.h"

static char storage[1 << 20];

static void
fail(const char *what)
{
	perror(what);
	exit(1);
}

static void
check(bool ok, const char *what)
{
	if (!ok)
		fail(what);
}

/* ---- the suite around the template ---- */

static pid_t
start_template(const char *program, const char *control, int *link)
{
	int channel[2], ends[2];
	char text[64];
	struct buf b = BUF_ON(text);

	check(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, channel) == 0, "pair");
	check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0,
	    "pair");
	int dirfd = open(control, O_RDONLY | O_DIRECTORY);

	check(dirfd >= 0, control);
	pid_t pid = fork();

	if (pid == 0) {
		dup2(channel[1], 20);
		dup2(dirfd, 21);
		dup2(20, 3);
		dup2(21, 4);
		close_range(5, ~0U, 0);
		execl(program, program, "--template", (char *)NULL);
		_exit(127);
	}
	close(channel[1]);
	check(recv(channel[0], text, sizeof(text), 0) == 1, "ready");
	packet_begin(&b, 'L');
	packet_str(&b, STR("listen-smtp"));
	check(packet_send(channel[0], buf_str(&b), &ends[1], 1) == 0, "link");
	close(dirfd);
	close(ends[1]);
	*link = ends[0];
	return pid;
}

/* ---- one session ---- */

struct ends {
	int client, stream, ask, life;
};

static void
hand_over(int link, int listener, struct ends *e)
{
	struct sockaddr_in sa;
	socklen_t n = sizeof(sa);
	int stream[2], ask[2], life[2];
	char text[256];
	struct buf b = BUF_ON(text);

	check(getsockname(listener, (struct sockaddr *)&sa, &n) == 0, "name");
	e->client = socket(AF_INET, SOCK_STREAM, 0);
	check(connect(e->client, (struct sockaddr *)&sa, n) == 0, "connect");
	int net = accept(listener, NULL, NULL);

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, stream) == 0 &&
		  socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ask) == 0 &&
		  pipe(life) == 0,
	    "pairs");
	packet_begin(&b, 'S');
	packet_str(&b, STR("0123456789ab"));
	packet_str(&b, STR("127.0.0.1"));
	packet_u32(&b, 1);
	packet_str(&b, STR("127.0.0.1"));
	packet_u32(&b, 25);
	packet_u8(&b, 0);
	int fds[4] = { net, stream[1], ask[1], life[1] };

	while (packet_send(link, buf_str(&b), fds, 4) < 0)
		check(errno == EAGAIN && usleep(100) == 0, "hand over");
	packet_close_fds(fds, 4);
	e->stream = stream[0];
	e->ask = ask[0];
	e->life = life[0];
}

static void
say(int fd, struct str s)
{
	while (s.n > 0) {
		ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);

		check(n > 0, "send");
		s = str_skip(s, (size_t)n);
	}
}

/* Reads until the end is `tail`. */
static void
hear(int fd, struct str tail)
{
	size_t n = 0;

	do {
		ssize_t r = recv(fd, storage + n, sizeof(storage) - n, 0);

		check(r > 0, "recv");
		n += (size_t)r;
		if (n > sizeof(storage) / 2) {
			memmove(storage, storage + n - 64, 64);
			n = 64;
		}
	} while (!str_ends((struct str){ storage, n }, tail));
}

static void
hear_lines(int fd, int lines)
{
	while (lines > 0) {
		ssize_t n = recv(fd, storage, sizeof(storage), 0);

		check(n > 0, "recv");
		for (ssize_t i = 0; i < n; i++)
			lines -= storage[i] == '\n';
	}
}

static void
send_message(const struct ends *e, struct str body)
{
	say(e->client,
	    STR("MAIL FROM:<alice@crepes.fr>\r\nRCPT TO:<bob@hamburger.edu>"
		"\r\nDATA\r\n"));
	check(recv(e->ask, storage, sizeof(storage), 0) > 0, "ask");
	say(e->ask, STR("K"));
	hear_lines(e->client, 3);
	say(e->client, body);
	hear(e->stream, STR(",1:C,"));
	say(e->stream, STR("17:K0123456789abcdef,"));
	hear_lines(e->client, 1);
}

static void
one_session(int link, int listener, unsigned messages, struct str body)
{
	struct ends e;

	hand_over(link, listener, &e);
	hear_lines(e.client, 1);
	say(e.client, STR("EHLO crepes.fr\r\n"));
	hear_lines(e.client, 5);
	for (unsigned i = 0; i < messages; i++)
		send_message(&e, body);
	say(e.client, STR("QUIT\r\n"));
	hear_lines(e.client, 1);
	check(recv(e.client, storage, 1, 0) == 0, "end");
	close(e.client);
	close(e.stream);
	close(e.ask);
	close(e.life);
}

static void
worker(int link, unsigned messages, struct str body, int64_t until,
    uint64_t *sessions)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	check(bind(listener, (struct sockaddr *)&sa, sizeof(sa)) == 0 &&
		  listen(listener, 16) == 0,
	    "listen");
	while (clock_mono_ms() < until) {
		one_session(link, listener, messages, body);
		++*sessions;
	}
	_exit(0);
}

static struct str
make_body(size_t n)
{
	static char text[1 << 20];
	struct buf b = BUF_ON(text);

	buf_puts(&b, "Subject: bench\r\n\r\n");
	while (buf_str(&b).n + 80 < n)
		buf_puts(&b, "All work and no play makes Jack a dull boy, "
			     "and the queue a rather long one.\r\n");
	buf_puts(&b, ".\r\n");
	return buf_str(&b);
}

int
main(int argc, char **argv)
{
	int link;

	if (argc < 6) {
		fputs("usage: bench_smtpd PROGRAM CONTROL WORKERS SECONDS "
		      "MESSAGES [BODY]\n",
		    stderr);
		return 100;
	}
	unsigned workers = (unsigned)strtoul(argv[3], NULL, 10);
	unsigned seconds = (unsigned)strtoul(argv[4], NULL, 10);
	unsigned messages = (unsigned)strtoul(argv[5], NULL, 10);
	struct str body =
	    make_body(argc > 6 ? strtoul(argv[6], NULL, 10) : 4096);
	pid_t template = start_template(argv[1], argv[2], &link);
	uint64_t *done = mmap(NULL, workers * sizeof(*done),
	    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int64_t start = clock_mono_ms();

	check(done != MAP_FAILED, "mmap");
	for (unsigned i = 0; i < workers; i++)
		if (fork() == 0)
			worker(link, messages, body,
			    start + (int64_t)seconds * 1000, &done[i]);
	for (unsigned i = 0; i < workers; i++)
		wait(NULL);
	double took = (double)(clock_mono_ms() - start) / 1000;
	uint64_t sum = 0;

	for (unsigned i = 0; i < workers; i++)
		sum += done[i];
	printf("sessions/s %.0f  messages/s %.0f\n", (double)sum / took,
	    (double)(sum * messages) / took);
	kill(template, SIGTERM);
	return 0;
}
