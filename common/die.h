/* SPDX-License-Identifier: ISC
 * die: the only ways out of a program besides the end of main.
 */
#ifndef DIE_H
#define DIE_H

#include "common/exitcode.h"

/* Logs `what` (and strerror(error) unless error is 0) and exits with code. */
_Noreturn void die(enum exitcode code, const char *what, int error);
/* The same, and what a person can do about it (do=). */
_Noreturn void die_do(
    enum exitcode code, const char *what, int error, const char *todo);
/* What a client on fd is told when this process dies before it has begun to
 * serve; NULL: nothing (more).  Only a socket has a client; on a terminal or a
 * pipe the log is enough.  Borrows text. */
void die_last_words(int fd, const char *text);
/* An impossible state: logs and aborts, so that the parent sees a crash. */
_Noreturn void bug(const char *what);

#endif
