/* SPDX-License-Identifier: ISC
 * filter: a seccomp program from a list of system calls, made in microseconds:
 * local and pop3d are started for every user, and libseccomp takes longer than
 * all else that they do at their start.  tests/unit/test_filter.c holds both
 * against each other.
 *
 * The numbers are a binary tree; a program of another architecture, or with
 * x32's numbers, is killed.
 */
#ifndef FILTER_H
#define FILTER_H

#include <stddef.h>
#include <stdint.h>
#include <linux/filter.h>

enum { FILTER_ROWS = 512, FILTER_CODE = 4096 /* BPF_MAXINSNS */ };

struct filter_row {
	int nr;	      /* negative: not a call of this architecture, ignored */
	unsigned arg; /* 0: any arguments; 1..6: this one must equal value */
	uint64_t value;
	uint32_t action; /* SECCOMP_RET_... */
};

/* Translates the rows (at most FILTER_ROWS).  Of one number a row without an
 * argument wins; of several with, any that matches.  What is in no row gets the
 * action `otherwise`.  Instructions written to `code`; 0: they do not fit, or a
 * number is too great. */
size_t filter_build(const struct filter_row *rows, size_t count,
    uint32_t otherwise, struct sock_filter code[FILTER_CODE]);
/* The same, and enters it for this process and its children; dies (111) when
 * the kernel refuses. */
void filter_enter(
    const struct filter_row *rows, size_t count, uint32_t otherwise);

#endif
