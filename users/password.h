/* SPDX-License-Identifier: ISC
 * password: reads a new password from the administrator, and hashes it.
 */
#ifndef USERS_PASSWORD_H
#define USERS_PASSWORD_H

#include "common/buf.h"

/* Never ask at a terminal: the first line of standard input it is. */
void password_from_stdin(void);
/* Puts the Argon2id string of a password: at a terminal asked for twice without
 * echo, else the first line of standard input.  0, or the exit code, having
 * said why. */
int password_hash(struct str whose, struct buf *hash);

#endif
