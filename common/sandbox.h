/* SPDX-License-Identifier: ISC
 * sandbox: seccomp filter, Landlock, rlimits and no_new_privs, from a table at
 * the head of each role's main file.
 *
 * What is not listed answers ENOSYS, so that libc can fall back.  A named list
 * of dangerous calls (sandbox.c) raises SIGSYS unless the role lists it: the
 * handler logs role and number, and exits.  rt_sigaction is gone afterwards.
 */
#ifndef SANDBOX_H
#define SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <seccomp.h>

struct sandbox_rule {
	int nr;
	unsigned arg; /* 0: any arguments; 1..6: this one must equal value */
	uint64_t value;
	const char *why;
};

#define ALLOW(call, reason)                                                    \
	{                                                                      \
		.nr = SCMP_SYS(call), .why = (reason)                          \
	}
/* Only with argument number `argument` (from 1) equal to `wanted`. */
#define ALLOW_IF(call, argument, wanted, reason)                               \
	{                                                                      \
		.nr = SCMP_SYS(call), .arg = (argument), .value = (wanted),    \
		.why = (reason)                                                \
	}

/* Rows that every role with the named need takes over whole. */
#define ALLOW_HEAP                                                             \
	ALLOW(mmap, "heap"), ALLOW(munmap, "heap"), ALLOW(mremap, "heap"),     \
	    ALLOW(brk, "heap"), ALLOW(madvise, "heap"),                        \
	    ALLOW(futex, "libc locks")
#define ALLOW_LOOP                                                             \
	ALLOW(epoll_wait, "event loop"), ALLOW(epoll_pwait, "event loop"),     \
	    ALLOW(epoll_ctl, "event loop")
#define ALLOW_PACKETS                                                          \
	ALLOW(sendmsg, "packets with descriptors"),                            \
	    ALLOW(recvmsg, "packets with descriptors"),                        \
	    ALLOW(sendto, "packets"), ALLOW(recvfrom, "packets")

/* A directory that the role may still reach through Landlock. */
struct sandbox_dir {
	int fd;	    /* -1: this row is ignored */
	bool write; /* create, write, rename, remove, not only read */
};

struct sandbox {
	const char *role;
	const struct sandbox_rule *rules;
	size_t rule_count;
	const struct sandbox_dir *dirs;
	size_t dir_count;
	bool connects;	 /* may connect(2) over TCP (Landlock ABI 4) */
	bool execs;	 /* starts programs (become): no Landlock exec ban */
	bool silent;	 /* no line where the kernel has no Landlock */
	bool dirs_later; /* a template: its children call sandbox_enter_dirs */
	/* RLIMIT_FSIZE in bytes; 0: no file may be written */
	uint64_t max_file;
};

/* Enters the sandbox; dies (111) when any part that the kernel has fails.
 * Landlock missing in the kernel is logged once as a warning. */
void sandbox_enter(const struct sandbox *);

/* The part that differs from child to child of a template, whose table has
 * ALLOW_SANDBOX_DIRS: Landlock, with these directories.  Dies as
 * sandbox_enter. */
void sandbox_enter_dirs(const struct sandbox *);
#define ALLOW_SANDBOX_DIRS                                                     \
	ALLOW(landlock_create_ruleset, "its child's Landlock rules"),          \
	    ALLOW(landlock_add_rule, "its child's Landlock rules"),            \
	    ALLOW(landlock_restrict_self, "its child's Landlock rules")

/* The version of Landlock that this process entered; 0: none (a kernel without
 * it, a role that starts users' programs, or no sandbox yet). */
unsigned sandbox_landlock(void);

/* What attacks on the kernel and on neighbours start with, and what belongs to
 * the system's administrator: no program of the suite makes these calls.  A
 * negative number: the architecture has no such call. */
extern const int sandbox_kernel_calls[];
extern const size_t sandbox_kernel_call_count;

#endif
