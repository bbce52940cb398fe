/* SPDX-License-Identifier: ISC
 * die: the only ways out of a program besides the end of main.
 */
#ifndef DIE_H
#define DIE_H

#include "common/exitcode.h"

/* Logs `what` (and strerror(error) unless error is 0) and exits with code. */
_Noreturn void die(enum exitcode code, const char *what, int error);
/* An impossible state: logs and aborts, so that the parent sees a crash. */
_Noreturn void bug(const char *what);

#endif
