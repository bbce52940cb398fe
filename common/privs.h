/* SPDX-License-Identifier: ISC
 * privs: users and how a process becomes one.
 */
#ifndef PRIVS_H
#define PRIVS_H

#include <pwd.h>
#include <sys/types.h>
#include "common/str.h"

/* Asks the name service for a user.  0, -1 with errno 0 when there is none, -1
 * with errno. */
int privs_lookup(const char *user, uid_t *uid, gid_t *gid);

/* Does the account of this uid get mail: is it neither one of the system's own
 * nor nobody's (postern-users(5))? */
bool privs_is_person(uid_t);

/* The user of that name, as getpwnam(3); NULL: none. */
const struct passwd *privs_find(struct str name);

/* The uid of a role's user; our own where there is no such user, as in a suite
 * that runs as one ordinary user.  Before the sandbox: it asks the name
 * service. */
uid_t privs_uid_or_own(const char *user);

/* Becomes uid and gid for good: supplementary groups dropped, all three ids
 * set, checked that root cannot be regained.  0, or -1 with errno. */
int privs_drop(uid_t uid, gid_t gid);

/* Makes sure that this process runs as `user`: already so, or, when it was
 * started as root by hand, drops to it (as /etc/passwd has it).  In a suite
 * that runs as one ordinary user, that user stands for all.  Dies (100) when it
 * is neither. */
void privs_require(const char *user);

/* As privs_require, for a program that tcpserver or inetd starts beside a
 * suite: dies (100) for any other user too, unless run_dir is that user's,
 * whose suite it is then.  Nobody else would be believed. */
void privs_require_beside(const char *user, const char *run_dir);

/* PR_SET_NO_NEW_PRIVS, PR_SET_DUMPABLE off.  Dies when the kernel refuses. */
void privs_lock(void);

#endif
