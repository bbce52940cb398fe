/* SPDX-License-Identifier: ISC
 * bench_userd: how many recipients a second does a running userd judge?
 * bench_userd SOCKET CONNECTIONS ROUNDS ADDRESS: each round asks R ADDRESS once
 * on every connection and reads the answers.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "common/clock.h"
#include "common/packet.h"

enum { MOST = 1000 };

static int
caller(const char *path)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct buf b = { .p = sa.sun_path, .cap = sizeof(sa.sun_path) };
	buf_puts(&b, path);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || !buf_cstr(&b) ||
	    connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0) {
		perror(path);
		exit(111);
	}
	return fd;
}

static uint64_t
number(const char *text, uint64_t max)
{
	uint64_t v;
	if (str_u64(str_of(text), max, &v) && v > 0)
		return v;
	fputs("bench_userd SOCKET CONNECTIONS ROUNDS ADDRESS\n", stderr);
	exit(100);
}

static void
one_round(const int *fds, uint64_t n, struct str question, uint64_t *good)
{
	char answer[512];
	for (uint64_t i = 0; i < n; i++)
		if (packet_send(fds[i], question, NULL, 0) < 0)
			exit(111);
	for (uint64_t i = 0; i < n; i++) {
		if (recv(fds[i], answer, sizeof(answer), 0) <= 0)
			exit(111);
		*good += answer[0] == 'K';
	}
}

int
main(int argc, char **argv)
{
	static int fds[MOST];
	char room[512];
	struct buf question = BUF_ON(room);
	uint64_t n = number(argc == 5 ? argv[2] : "", MOST);
	uint64_t rounds = number(argv[3], 1000000000), good = 0;
	for (uint64_t i = 0; i < n; i++)
		fds[i] = caller(argv[1]);
	packet_begin(&question, 'R');
	packet_str(&question, str_of(argv[4]));
	int64_t began = clock_now_us();
	for (uint64_t i = 0; i < rounds; i++)
		one_round(fds, n, buf_str(&question), &good);
	double us = (double)(clock_now_us() - began);
	double asked = (double)(n * rounds);
	printf("%.0f questions a second, %.2f us each, %.1f%% good\n",
	    asked / us * 1e6, us / asked, 100.0 * (double)good / asked);
	return 0;
}
