/* SPDX-License-Identifier: ISC
 * disklimit: how many messages a second a disk can make durable at all: one
 * process that overwrites a ring, some messages to a write, each write durable.
 *
 * usage: disklimit FILE SECONDS MESSAGES...
 * Prints, for each number of messages to a write, the 4 KiB messages a second.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGE = 4096, RING = 64 << 20 };

static char zeros[1 << 20];

static void
fail(const char *what)
{
	fprintf(stderr, "disklimit: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Written once, so that no write below allocates a block. */
static int
ring_make(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		fail(path);
	for (int i = 0; i < RING / (int)sizeof(zeros); i++)
		if (write(fd, zeros, sizeof(zeros)) != (ssize_t)sizeof(zeros))
			fail(path);
	if (fsync(fd) < 0)
		fail(path);
	return fd;
}

static double
rate(int fd, double seconds, size_t messages)
{
	struct iovec v = { zeros, messages * MESSAGE };
	double begun = now(), taken;
	size_t writes = 0;
	off_t at = 0;

	do {
		if (at + (off_t)v.iov_len > RING)
			at = 0;
		if (pwritev2(fd, &v, 1, at, RWF_DSYNC) != (ssize_t)v.iov_len)
			fail("pwritev2");
		at += (off_t)v.iov_len;
		writes++;
		taken = now() - begun;
	} while (taken < seconds);
	return (double)(writes * messages) / taken;
}

int
main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: disklimit FILE SECONDS MESSAGES...\n");
		return 100;
	}
	memset(zeros, 'x', sizeof(zeros));
	int fd = ring_make(argv[1]);

	for (int i = 3; i < argc; i++) {
		long messages = strtol(argv[i], NULL, 10);

		if (messages < 1 || messages > (long)sizeof(zeros) / MESSAGE) {
			fprintf(stderr, "disklimit: 1 to %zu messages\n",
			    sizeof(zeros) / MESSAGE);
			return 100;
		}
		printf("%ld %.0f\n", messages,
		    rate(fd, strtod(argv[2], NULL), (size_t)messages));
	}
	if (unlink(argv[1]) < 0)
		fail(argv[1]);
	return 0;
}
