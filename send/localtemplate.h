/* SPDX-License-Identifier: ISC
 * localtemplate: postern-local before it is anybody's.  become starts it, as
 * root with no capability but to change users; it has entered the sandbox and
 * holds nothing but code, become's link and the mail directory.  For each user
 * it forks a child, become's own (CLONE_PARENT), which becomes that user.  It
 * never reads anything but become's requests.
 */
#ifndef SEND_LOCALTEMPLATE_H
#define SEND_LOCALTEMPLATE_H

#include <linux/sched.h>
#include <signal.h>
#include <sys/resource.h>
#include "common/sandbox.h"
#include "common/str.h"

enum {
	LOCALTEMPLATE_CONTROL = 3, /* become's link; a child's control socket */
	LOCALTEMPLATE_BASE =
	    4 /* the mail directory; a child's base directory */
};

struct localtemplate_user {
	struct str name, home; /* empty: the owner of the virtual mailboxes */
};

/* Serves become's requests until its end, then exits.  Comes back in a child
 * alone: it is the user, may make no process, and holds its control socket and
 * its base directory (both close-on-exec) beside 0, 1, 2.  The views live for
 * ever. */
struct localtemplate_user localtemplate_serve(void);

/* Rows for the template's table.  Children keep them: an ordinary user with
 * RLIMIT_NPROC 0 and no_new_privs can do nothing by them. */
#define ALLOW_LOCALTEMPLATE                                                    \
	ALLOW_IF(                                                              \
	    clone, 1, CLONE_PARENT | SIGCHLD, "template: a child a user"),     \
	    ALLOW(dup3, "template: place descriptors"),                        \
	    ALLOW(close_range, "template: the child drops become's link"),     \
	    ALLOW(getuid, "template: who am I"),                               \
	    ALLOW(geteuid, "template: who am I"),                              \
	    ALLOW(getgid, "template: who am I"),                               \
	    ALLOW(setgroups, "template: the child becomes its user"),          \
	    ALLOW(setresgid, "template: the child becomes its user"),          \
	    ALLOW(setresuid, "template: the child becomes its user"),          \
	    ALLOW_IF(setuid, 1, 0, "template: root cannot be regained?"),      \
	    ALLOW_IF(setrlimit, 1, RLIMIT_NPROC, "template: no processes"),    \
	    ALLOW_SANDBOX_DIRS

#endif
