/* SPDX-License-Identifier: ISC
 * check: the parts of `postern check`.
 */
#ifndef CHECK_H
#define CHECK_H

#include "common/str.h"

struct check {
	bool json;
	unsigned mistakes, warnings;
};

/* Prints and counts; line is 0 when it is about the whole file. */
void check_mistake(
    struct check *, const char *file, unsigned line, const char *what);
void check_warning(
    struct check *, const char *file, unsigned line, const char *what);

/* For control_on_mistake, where check_settings has told of them all. */
void check_ignore(const char *file, unsigned line, const char *what);

/* Directories: owner, group, mode. */
void check_places(struct check *);
/* Every setting, by its kind and by its meaning. */
void check_settings(struct check *, int control_dirfd);
/* Files in the control directory that are no settings. */
void check_unknown(struct check *, int control_dirfd);
/* The tables of userd, line by line. */
void check_users(struct check *, int control_dirfd);
/* Asks the running userd whether postmaster and abuse of our domains are
 * accepted, and the aliases and their targets. */
void check_running(struct check *, int control_dirfd);
/* Room on the spool's disk. */
void check_room(struct check *, int control_dirfd);

#endif
