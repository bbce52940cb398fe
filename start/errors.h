/* SPDX-License-Identifier: ISC
 * errors: the last error lines of start and of the roles, in run/errors, for
 * `postern status`: wherever the log itself goes.  The lines come over the
 * channels (role.h), so those of sessions and agents, which have none, are in
 * the log alone.  Part of postern-start.
 */
#ifndef START_ERRORS_H
#define START_ERRORS_H

#include "common/str.h"

/* Takes start's own error lines from now on; removes what an earlier start
 * left.  Keeps run_dirfd.  As soon as this start is known to be the only one.
 */
void errors_init(int run_dirfd);
/* Keeps a line of a role; what a role says may be anything. */
void errors_keep(struct str line);
/* Writes the file when there is news, at most once a second.  ms until it wants
 * to be called again, or -1. */
int errors_write(void);

#endif
