/* SPDX-License-Identifier: ISC
 * guard: what confines postern-become.  A seccomp filter is inherited by every
 * program started below it, and those of users' .qmail files are the users'
 * own; so become cannot have a list of what is allowed, as the other roles do.
 */
#ifndef SEND_GUARD_H
#define SEND_GUARD_H

/* Drops all capabilities but to change users, sets no_new_privs, forbids core
 * dumps and other processes' looks, and refuses (EPERM) for this process and
 * all its children what only an administrator or a debugger does.  Dies when
 * the kernel refuses any of it. */
void guard_enter(void);

#endif
