/* SPDX-License-Identifier: ISC
 * fence: keeps the filter programs of two messages apart, though they run as
 * the same user.
 */
#ifndef FILTER_FENCE_H
#define FILTER_FENCE_H

/* A Landlock domain for this process and its children: no ptrace, no look into
 * the memory, and (Linux 6.12 and up) no signal beyond it; files are as before.
 * No such domain where the kernel has no Landlock.  And a seccomp filter: no
 * limits and priorities of other processes.  After guard_enter.  0, or -1 with
 * errno. */
int fence_enter(void);

#endif
