/* SPDX-License-Identifier: ISC
 * spawn: starts postern-pop3d, or a runner of programs, as another user; and
 * the template of postern-local as this one.
 */
#ifndef SEND_SPAWN_H
#define SEND_SPAWN_H

#include "send/account.h"

enum {
	SPAWN_FDS = 6,
	SPAWN_BASE = 4,	 /* the child's descriptor of its base directory */
	SPAWN_KEEP = -1, /* the child keeps ours (0, 1, 2) */
	SPAWN_NONE = -2, /* the child has none */
	SPAWN_OWN = -3	 /* at SPAWN_BASE: the child becomes the account */
};

struct spawn {
	int program_fd;	    /* for execveat */
	char *const *argv;  /* borrowed */
	int fds[SPAWN_FDS]; /* the child's 0..5 */
	int mail_dirfd;	    /* base of an account without a home */
};

/* Forks, becomes the account, opens its base directory as that user (both only
 * with SPAWN_OWN), and runs the program.  The pid, and *status_fd (read end of
 * a pipe: end of file means that the program runs; else spawn_failure reads
 * what went wrong), or -1. */
pid_t spawn(const struct spawn *, const struct account *, int *status_fd);
/* 0: it runs; 1: it does not, and *verdict and *text (which lives for ever) say
 * why; -1 with errno EAGAIN: not known yet. */
int spawn_failure(int status_fd, enum verdict *verdict, const char **text);

#endif
