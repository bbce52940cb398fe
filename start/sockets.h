/* SPDX-License-Identifier: ISC
 * sockets: the listening sockets that postern-start makes for its roles.
 */
#ifndef SOCKETS_H
#define SOCKETS_H

#include "start/family.h"

/* Both put the sockets into c and die, saying what is wrong, when they can't.
 */

/* The role's Unix socket below run/, owned by its user. */
void sockets_open_unix(int run_dirfd, struct child *c);
/* The sockets that were passed for the role's service, or else one for each
 * line of its control file; where that says none the role is unwanted. */
void sockets_open_tcp(int control_dirfd, struct child *c);
/* At a reload: says in the log when the control file names other addresses than
 * at the start, since ports are bound only then. */
void sockets_compare_tcp(int control_dirfd, const struct child *c);

#endif
