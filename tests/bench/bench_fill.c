/* SPDX-License-Identifier: ISC
 * bench_fill: fills a queue through its local socket (run/queue) as fast as it
 * takes messages.
 *
 *	bench_fill SOCKET MESSAGES DESTINATIONS SIZE STREAMS [SENDERS]
 *
 * Message i goes from sI@bulk.example (I = i mod SENDERS) to uI@dNNNNN.example
 * (N = i mod DESTINATIONS) with a body of SIZE bytes.  Prints how many were
 * taken and the seconds.  Run by tests/bench/depth.py; no part of the suite.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "common/frame.h"
#include "common/io.h"

enum { WINDOW = 64, BODY_MAX = 60000, STREAMS_MAX = 256 };

static struct {
	const char *path;
	long messages, destinations, size, streams, senders;
} conf;

static void
fail(const char *what)
{
	perror(what);
	exit(1);
}

static int
open_stream(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	if (strlen(conf.path) >= sizeof(sa.sun_path)) {
		fputs("the socket's path is too long\n", stderr);
		exit(1);
	}
	memcpy(sa.sun_path, conf.path, strlen(conf.path));
	if (fd < 0 || connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		fail(conf.path);
	return fd;
}

static void
put_message(struct buf *out, long i, struct str body)
{
	char text[128];
	int n =
	    snprintf(text, sizeof(text), "s%ld@bulk.example", i % conf.senders);
	frame_put(out, 'F', (struct str){ text, (size_t)n });
	n = snprintf(text, sizeof(text), "u%07ld@d%05ld.example", i,
	    i % conf.destinations);
	frame_put(out, 'T', (struct str){ text, (size_t)n });
	frame_put(out, 'B', body);
	frame_put(out, 'C', STR(""));
}

/* Reads that many answers.  False: one of them was no K. */
static bool
take_answers(int fd, int count)
{
	static char text[65536];
	static size_t have;
	bool good = true;
	while (count > 0) {
		ssize_t n = read(fd, text + have, sizeof(text) - have);
		if (n <= 0)
			fail("answer");
		have += (size_t)n;
		size_t at = 0, used;
		char type;
		struct str payload;
		while (frame_next((struct str){ text + at, have - at }, 4096,
			   &type, &payload, &used) == FRAME_OK) {
			if (type != 'K') {
				fprintf(stderr, "%c %.*s\n", type,
				    (int)payload.n, payload.p);
				good = false;
			}
			at += used;
			count--;
		}
		memmove(text, text + at, have - at);
		have -= at;
	}
	return good;
}

static int
serve_stream(long first)
{
	static char body[BODY_MAX];
	static char space[WINDOW / 8 * (BODY_MAX + 1024)];
	int fd = open_stream();
	int open = 0;
	bool good = true;
	memset(body, 'x', sizeof(body));
	for (size_t i = 0; i + 1 < sizeof(body); i += 70)
		body[i] = '\n';
	memcpy(body, "Subject: hello\n\n", 16);
	struct str text = { body, (size_t)conf.size };
	struct buf out = BUF_ON(space);
	for (long i = first; i < conf.messages && good; i += conf.streams) {
		put_message(&out, i, text);
		open++;
		if (open < WINDOW && buf_room(&out) > (size_t)conf.size + 1024)
			continue;
		if (io_write_all(fd, buf_str(&out)) < 0)
			fail("write");
		buf_reset(&out);
		good = take_answers(fd, open);
		open = 0;
	}
	if (good && open > 0) {
		if (io_write_all(fd, buf_str(&out)) < 0)
			fail("write");
		good = take_answers(fd, open);
	}
	return good ? 0 : 1;
}

int
main(int argc, char **argv)
{
	struct timespec from, to;
	int bad = 0, status;
	if (argc < 6) {
		fputs("usage: bench_fill SOCKET MESSAGES DESTINATIONS SIZE "
		      "STREAMS [SENDERS]\n",
		    stderr);
		return 100;
	}
	conf.path = argv[1];
	conf.messages = strtol(argv[2], NULL, 10);
	conf.destinations = strtol(argv[3], NULL, 10);
	conf.size = strtol(argv[4], NULL, 10);
	conf.streams = strtol(argv[5], NULL, 10);
	conf.senders = argc > 6 ? strtol(argv[6], NULL, 10) : 1000;
	if (conf.destinations < 1 || conf.size < 16 || conf.size > BODY_MAX ||
	    conf.streams < 1 || conf.streams > STREAMS_MAX || conf.senders < 1)
		return 100;
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (long i = 0; i < conf.streams; i++) {
		pid_t pid = fork();
		if (pid < 0)
			fail("fork");
		if (pid == 0)
			_exit(serve_stream(i));
	}
	while (wait(&status) > 0)
		bad += status != 0;
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%ld %.3f\n", conf.messages,
	    (double)(to.tv_sec - from.tv_sec) +
		(double)(to.tv_nsec - from.tv_nsec) / 1e9);
	return bad > 0;
}
