/* SPDX-License-Identifier: ISC
 * guard: what confines a process below which programs run that are not ours: of
 * users (become), of the administrator (filter).  A seccomp filter is inherited
 * by all of them; so there can be no list of what is allowed, as the other
 * roles have one.
 */
#ifndef GUARD_H
#define GUARD_H

/* Drops all capabilities but to change users, sets no_new_privs, forbids core
 * dumps and other processes' looks, and refuses (EPERM) for this process and
 * all its children what only an administrator or a debugger does.  Dies when
 * the kernel refuses any of it. */
void guard_enter(void);

#endif
