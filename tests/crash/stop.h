/* SPDX-License-Identifier: ISC
 * stop: which calls are counted, and as whose.  Test tool.
 */
#ifndef STOP_H
#define STOP_H

#include <stdbool.h>
#include <sys/types.h>

enum { STOP_ROLE = 32, STOP_PATH = 512 };

struct process {
	pid_t pid;
	unsigned forks;	      /* since the last exec */
	char role[STOP_ROLE]; /* "" until known */
	bool role_is_known;   /* with its user */
	bool held;	      /* new, until its parent's fork is reported */
	bool at_exit;	      /* it is met again there, to be ended */
	char path[STOP_PATH]; /* what its last counted call was about */
};

/* Folders whose files count, and one file below them that does not.  The
 * strings are borrowed. */
void stop_watch(const char *dir);
void stop_not(const char *file);

/* Has the kernel report the calls; exits on failure. */
void stop_filter_load(void);

/* The role of a process that has just run another program, and of a child that
 * has not yet. */
void stop_exec_role(struct process *p);
void stop_child_role(struct process *p, const char *parents_role);

/* p stands at the entry of a reported call: its name, with p->path and p->role
 * filled in; NULL: not to be counted. */
const char *stop_call_look(struct process *p);

#endif
