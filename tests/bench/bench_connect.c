/* SPDX-License-Identifier: ISC
 * bench_connect PORT SESSIONS CONNECTIONS: how many connections a second a
 * service takes: connect, read the greeting, send QUIT, read to the end;
 * SESSIONS at a time.  Works for SMTP and POP3.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/str.h"

enum { SESSIONS_MAX = 2000 };

static struct {
	int fd;
	bool greeted;
} sessions[SESSIONS_MAX];
static struct sockaddr_in server;
static unsigned long started, done, refused, failed;
static int epoll;

static void
session_start(unsigned i)
{
	struct epoll_event e = { .events = EPOLLIN, .data.u32 = i };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	started++;
	sessions[i].fd = fd;
	sessions[i].greeted = false;
	if (fd < 0 ||
	    (connect(fd, (const struct sockaddr *)&server, sizeof(server)) <
		    0 &&
		errno != EINPROGRESS) ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e) < 0) {
		perror("connect");
		exit(1);
	}
}

static bool
session_end(unsigned i, unsigned long total)
{
	close(sessions[i].fd);
	done++;
	if (started < total)
		session_start(i);
	return done == total;
}

static bool
session_ready(unsigned i, unsigned long total)
{
	char text[1024];
	ssize_t n = read(sessions[i].fd, text, sizeof(text));

	if (n < 0 && errno == EAGAIN)
		return false;
	if (n < 0)
		failed++;
	if (n <= 0)
		return session_end(i, total);
	if (sessions[i].greeted)
		return false;
	sessions[i].greeted = true;
	if (text[0] != '+' && text[0] != '2')
		refused++;
	else if (send(sessions[i].fd, "QUIT\r\n", 6, MSG_NOSIGNAL) != 6)
		failed++;
	return false;
}

int
main(int argc, char **argv)
{
	uint64_t port;
	uint64_t count;
	uint64_t total;
	struct epoll_event events[256];

	if (argc != 4 || !str_u64(str_of(argv[1]), 65535, &port) ||
	    !str_u64(str_of(argv[2]), SESSIONS_MAX, &count) ||
	    !str_u64(str_of(argv[3]), UINT32_MAX, &total) || total < count) {
		fputs(
		    "usage: bench_connect PORT SESSIONS CONNECTIONS\n", stderr);
		return 100;
	}
	server = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	epoll = epoll_create1(EPOLL_CLOEXEC);
	int64_t begun = clock_now_us();
	for (unsigned i = 0; i < count; i++)
		session_start(i);
	for (bool over = false; !over;) {
		int n = epoll_wait(epoll, events, 256, 10000);
		if (n <= 0) {
			fprintf(stderr, "nothing came: %lu of %lu done\n", done,
			    started);
			return 1;
		}
		for (int i = 0; i < n; i++)
			over = session_ready(events[i].data.u32, total) || over;
	}
	double seconds = (double)(clock_now_us() - begun) / 1e6;
	printf("%lu connections, %.0f a second, %lu refused, %lu failed\n",
	    done, (double)done / seconds, refused, failed);
	return 0;
}
