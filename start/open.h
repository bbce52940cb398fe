/* SPDX-License-Identifier: ISC
 * open: everything that postern-start opens, once, before it runs a role.
 */
#ifndef OPEN_H
#define OPEN_H

#include "start/family.h"

/* Each dies, with what to do, when it cannot. */

/* Descriptors that the roles are born with (role.h) are taken, so that nothing
 * that is opened later has one of their numbers. */
void open_reserve(void);
/* Lines go to `path` (created when missing), or, when it is NULL, to stderr
 * through an open file of our own that never blocks. */
void open_log(const char *path);
void open_limits(void);
/* Control and run directory; the lock: one postern-start per run directory. */
void open_dirs(struct family *);
/* Programs, users, directories and listening sockets of all roles. */
void open_roles(struct family *);

#endif
