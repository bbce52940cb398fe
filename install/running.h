/* SPDX-License-Identifier: ISC
 * running: the roles that run, from run/roles and /proc.
 */
#ifndef RUNNING_H
#define RUNNING_H

#include <sys/types.h>
#include "common/buf.h"

enum { RUNNING_MAX = 64, RUNNING_NAME = 32 };

struct running {
	char name[RUNNING_NAME], user[RUNNING_NAME], state[RUNNING_NAME];
	pid_t pid; /* 0: none now */
	unsigned restarts;
	int64_t since;	   /* seconds since 1970 */
	unsigned landlock; /* the version that confines it; 0: none */
};

/* Reads run/roles.  The number of rows; 0: the suite does not run (no file, or
 * the postern-start that wrote it is gone); -1 with errno. */
int running_read(struct running rows[RUNNING_MAX]);

/* What the kernel says of a process. */
struct running_process {
	char name[RUNNING_NAME]; /* of its program, without "postern-" */
	char user[RUNNING_NAME];
	uint64_t capabilities; /* effective */
	bool no_new_privs;
	uint64_t seccomp; /* 0 none, 2 filter */
	uint64_t filters; /* how many */
	bool files_known;
	uint64_t files; /* open descriptors */
};

/* False when there is no such process (any more). */
bool running_process(pid_t pid, struct running_process *);
/* The pids of its child processes, at most max. */
size_t running_children(pid_t pid, pid_t *children, size_t max);

#endif
