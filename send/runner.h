/* SPDX-License-Identifier: ISC
 * runner: a helper process that runs the programs of a user's .qmail files, as
 * that user, outside local's sandbox (no_new_privs holds).  become starts it,
 * as "postern-local programs", when local meets the first program.
 */
#ifndef SEND_RUNNER_H
#define SEND_RUNNER_H

#include "common/buf.h"
#include "common/limits.h"
#include "common/verdict.h"

enum {
	RUNNER_PROGRAMS = 8,		 /* at a time */
	RUNNER_TIMEOUT_MS = 1000 * 1000, /* then it is killed: deferred */
	RUNNER_TEXT = LIMIT_REPORT
};

/* Works in home_fd until the other end of fd (SOCK_SEQPACKET) is closed. */
_Noreturn void runner_serve(int fd, int home_fd, int timeout_ms);

struct runner_request {
	uint32_t slot; /* the caller's; comes back in the answer */
	int body_fd;   /* borrowed */
	uint64_t offset, size;
	struct str command;	/* for /bin/sh -c */
	struct str environment; /* NAME=value, each ended by NUL */
};

/* Sends a request built in b.  0, or -1 with errno (EMSGSIZE: too large). */
int runner_send(int fd, struct buf *b, const struct runner_request *);

struct runner_answer {
	uint32_t slot;
	enum verdict verdict;
	bool stop;	 /* exit 99: ignore the lines that follow */
	struct str text; /* view into storage; printable */
};

/* Takes one answer.  1; 0 when none is there; -1 when the runner is gone or
 * out of its mind. */
int runner_receive(int fd, char *storage, size_t cap, struct runner_answer *);

/* What an exit status (wait(2)) means: qmail-command(8).  Pure. */
enum verdict runner_verdict(int status, bool *stop);

#endif
