/* SPDX-License-Identifier: ISC
 * bench_queued: how many messages a second postern-queued makes durable.
 *
 *	bench_queued PROGRAM DIR STREAMS SECONDS [SIZE [MODE]]
 *
 * DIR holds `control` and `spool`.  MODE: `note` (default; a qmgr takes each
 * note and its descriptor and marks the message delivered), `hold` (a qmgr that
 * marks nothing), `none` (no qmgr).  Each stream sends a message, waits for its
 * answer, and sends the next.  Not a part of the suite; run by hand.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "common/frame.h"
#include "common/io.h"
#include "common/packet.h"

enum { STREAMS_MAX = 4096, CLIENTS = 2 };

static struct shared {
	volatile uint64_t accepted, refused, notes, descriptors, marked;
} * shared;

static double
now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void
fail(const char *what)
{
	perror(what);
	exit(1);
}

static void
make_pair(int type, int fds[2])
{
	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) < 0)
		fail("socketpair");
}

static pid_t
start_queued(const char *program, const char *dir, int channel)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s/control", dir);
	int control = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s/spool", dir);
	int spool = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int door = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s/door", dir);
	unlink(sa.sun_path);
	if (control < 0 || spool < 0 ||
	    bind(door, (struct sockaddr *)&sa, sizeof(sa)) < 0 ||
	    listen(door, 10) < 0)
		fail(dir);
	pid_t pid = fork();
	if (pid != 0) {
		close(control);
		close(spool);
		close(door);
		return pid;
	}
	const int from[] = { channel, control, spool, door };
	int high[4];
	for (int i = 0; i < 4; i++)
		high[i] = fcntl(from[i], F_DUPFD, 100);
	for (int i = 0; i < 4; i++)
		dup2(high[i], 3 + i);
	for (int i = 0; i < 4; i++)
		close(high[i]);
	execl(program, program, (char *)NULL);
	fail(program);
	return -1;
}

static void
give_link(int channel, const char *peer, int fd)
{
	char text[64];
	struct buf b = BUF_ON(text);
	packet_begin(&b, 'L');
	packet_str(&b, str_of(peer));
	if (packet_send(channel, buf_str(&b), &fd, 1) < 0)
		fail("link");
	close(fd);
}

/* ---- qmgr ---- */

static void
play_qmgr(int fd, bool marks)
{
	static char in[PACKET_MAX], out[PACKET_MAX];
	struct buf b = BUF_ON(out);
	static char rows[PACKET_MAX - 8];
	struct buf r = BUF_ON(rows);
	uint32_t count = 0;
	for (;;) {
		struct str bytes;
		int fds[PACKET_FDS];
		size_t nfds;
		int n = packet_recv(fd, in, sizeof(in),
		    count > 0 ? MSG_DONTWAIT : 0, &bytes, fds, &nfds);
		if (n == 0)
			_exit(0);
		if ((n < 0 && errno == EAGAIN) || count == 256) {
			packet_begin(&b, 'M');
			packet_u32(&b, count);
			buf_put(&b, buf_str(&r));
			while (packet_send(fd, buf_str(&b), NULL, 0) < 0)
				if (errno != EAGAIN)
					_exit(0);
			buf_reset(&r);
			count = 0;
		}
		if (n < 0)
			continue;
		shared->descriptors += nfds;
		packet_close_fds(fds, nfds);
		struct packet p = packet_open(bytes);
		if (p.type == 'm')
			shared->marked += packet_get_u32(&p);
		if (p.type != 'N')
			continue;
		shared->notes++;
		if (!marks)
			continue;
		packet_u64(&r, packet_get_u64(&p));
		packet_u32(&r, 0);
		packet_u8(&r, 'K');
		count++;
	}
}

/* ---- senders ---- */

static void
send_all(struct pollfd *p, int n, struct str message, double until)
{
	static char answer[4096];
	for (int i = 0; i < n; i++)
		if (io_write_all(p[i].fd, message) < 0)
			fail("write");
	for (int going = n; going > 0;) {
		if (poll(p, (nfds_t)n, 5000) <= 0)
			fail("poll: no answer");
		bool over = now() >= until;
		for (int i = 0; i < n; i++) {
			if ((p[i].revents & (POLLIN | POLLHUP)) == 0)
				continue;
			ssize_t got = read(p[i].fd, answer, sizeof(answer));
			if (got <= 0)
				fail("queued is gone");
			if (memchr(answer, 'K', 8) != NULL)
				__atomic_add_fetch(
				    &shared->accepted, 1, __ATOMIC_RELAXED);
			else
				__atomic_add_fetch(
				    &shared->refused, 1, __ATOMIC_RELAXED);
			if (over) {
				p[i].fd = -1;
				going--;
			} else if (io_write_all(p[i].fd, message) < 0) {
				fail("write");
			}
		}
	}
}

static struct str
make_message(size_t size)
{
	static char space[8 << 20];
	static char body[8 << 20];
	struct buf b = BUF_ON(space);
	memset(body, 'x', sizeof(body));
	frame_put(&b, 'F', STR("sender@client.example"));
	frame_put(&b, 'T', STR("bob@hamburger.example"));
	for (size_t at = 0; at < size; at += 16000)
		frame_put(&b, 'B',
		    (struct str){ .p = body,
			.n = size - at < 16000 ? size - at : 16000 });
	frame_put(&b, 'C', STR(""));
	return buf_str(&b);
}

static void
make_streams(int listen_link, struct pollfd *p, int n)
{
	for (int i = 0; i < n; i++) {
		int pair[2];
		char text[128];
		struct buf b = BUF_ON(text);
		make_pair(SOCK_STREAM, pair);
		packet_begin(&b, 'S');
		packet_str(&b, STR("bench"));
		packet_str(&b, STR("192.0.2.1"));
		packet_u8(&b, 1);
		while (packet_send(listen_link, buf_str(&b), &pair[1], 1) < 0)
			if (errno != EAGAIN)
				fail("session");
		close(pair[1]);
		p[i] = (struct pollfd){ .fd = pair[0], .events = POLLIN };
	}
}

static void
print_result(const char *mode, int streams, size_t size, double took,
    const struct rusage *u)
{
	double cpu = (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) +
		     (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e6;
	printf("%-4s streams=%-4d size=%-7zu %8.0f messages/s  refused %lu  "
	       "notes %lu (fds %lu) marks %lu  cpu %.1f us/message  "
	       "peak %ld KiB\n",
	    mode, streams, size, (double)shared->accepted / took,
	    shared->refused, shared->notes, shared->descriptors, shared->marked,
	    shared->accepted > 0 ? cpu * 1e6 / (double)shared->accepted : 0,
	    u->ru_maxrss);
}

int
main(int argc, char **argv)
{
	static struct pollfd p[STREAMS_MAX];
	if (argc < 5)
		return 2;
	int streams = (int)strtol(argv[3], NULL, 10);
	double seconds = strtod(argv[4], NULL);
	size_t size = argc > 5 ? (size_t)strtol(argv[5], NULL, 10) : 4096;
	const char *mode = argc > 6 ? argv[6] : "note";
	int channel[2], listen_link[2], qmgr[2];
	struct str message = make_message(size);
	signal(SIGPIPE, SIG_IGN);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	make_pair(SOCK_SEQPACKET, channel);
	make_pair(SOCK_SEQPACKET, listen_link);
	make_pair(SOCK_SEQPACKET, qmgr);
	pid_t pid = start_queued(argv[1], argv[2], channel[1]);
	close(channel[1]);
	char ready[8];
	if (read(channel[0], ready, sizeof(ready)) < 1)
		fail("queued does not start");
	give_link(channel[0], "listen-smtp", listen_link[1]);
	pid_t qmgr_pid = 0;
	if (strcmp(mode, "none") != 0) {
		give_link(channel[0], "qmgr", qmgr[1]);
		qmgr_pid = fork();
		if (qmgr_pid == 0) {
			close(channel[0]);
			play_qmgr(qmgr[0], strcmp(mode, "note") == 0);
		}
	}
	make_streams(listen_link[0], p, streams);
	double began = now();
	pid_t clients[CLIENTS] = { 0 };
	int used = streams < CLIENTS ? 1 : CLIENTS;
	for (int c = 0; c < used; c++) {
		clients[c] = fork();
		if (clients[c] != 0)
			continue;
		int from = streams * c / used, to = streams * (c + 1) / used;
		send_all(p + from, to - from, message, began + seconds);
		_exit(0);
	}
	for (int c = 0; c < used; c++)
		waitpid(clients[c], NULL, 0);
	double took = now() - began;
	usleep(500000); /* the last marks */
	close(channel[0]);
	close(qmgr[0]);
	struct rusage u;
	int status;
	wait4(pid, &status, 0, &u);
	if (qmgr_pid > 0) {
		kill(qmgr_pid, SIGKILL);
		waitpid(qmgr_pid, NULL, 0);
	}
	print_result(mode, streams, size, took, &u);
	return 0;
}
