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
/* A socket for each line of the role's control file. */
void sockets_open_tcp(int control_dirfd, struct child *c);

#endif
