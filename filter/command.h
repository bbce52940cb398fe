/* SPDX-License-Identifier: ISC
 * command: the line of control/filter, a program and its arguments.  Public:
 * `postern check` reads it too.
 */
#ifndef FILTER_COMMAND_H
#define FILTER_COMMAND_H

#include <sys/types.h>
#include "common/str.h"

enum { COMMAND_ROOM = 1100, COMMAND_WORDS = 32 };

struct command {
	char text[COMMAND_ROOM];       /* the words, each ended by NUL */
	char *argv[COMMAND_WORDS + 1]; /* the last one is NULL */
};

/* Splits a line at blanks; no quotes, no shell.  The first word must be an
 * absolute path.  NULL, or what is wrong.  Pure; points into *c. */
const char *command_parse(struct str line, struct command *c);

/* Whether the program at path may stand before the queue: it and every
 * directory above it must be root's (or also's, the one user of a one-user
 * suite) and not writable by others (a directory may, with the sticky bit).
 * NULL, or what is wrong. */
const char *command_check(const char *path, uid_t also);

#endif
