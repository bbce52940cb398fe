/* SPDX-License-Identifier: ISC
 * logfiles: the lines of log files, plain or gzipped, one after the other, in
 * constant memory.
 */
#ifndef LOGFILES_H
#define LOGFILES_H

#include "common/str.h"

enum { LOGFILES_MAX = 64 };

/* Adds a file; "-": standard input.  rotated: also what logrotate made of it,
 * FILE.1, FILE.2.gz ..., the oldest first.  False: too many, or none is there,
 * and said so. */
bool logfiles_add(const char *path, bool rotated);
/* The file that the running suite writes its log to.  NULL: it does not run, or
 * writes to a pipe or a socket, and said so. */
const char *logfiles_of_suite(void);
/* Can they be read more than once? */
bool logfiles_can_repeat(void);
/* Gives every line, without its LF, to `each`; lines over 64 KiB in pieces.
 * False: a file could not be read, and said so. */
bool logfiles_read(
    void (*each)(struct str line), void (*progress)(uint64_t at, uint64_t end));

#endif
