/* SPDX-License-Identifier: ISC
 * hashd: the processes that check passwords.  A keeper, forked from userd
 * before it has read any table, keeps a fixed number of workers alive; a worker
 * sees one hash and one password at a time, and has only read, write and
 * memory.
 *
 * Keeper to userd: 'W' + descriptor of a fresh worker's socket
 * (SOCK_SEQPACKET). userd to worker: 'V' str hash, str password.  Worker to
 * userd: one byte, a verdict: K right, D wrong, Z no memory. When userd ends
 * the workers see end of file, and the keeper ends with them.
 */
#ifndef USERS_HASHD_H
#define USERS_HASHD_H

#include "common/limits.h"

enum { HASHD_PACKET = 16 + 128 + LIMIT_PASSWORD, HASHD_WORKERS = 4 };

/* Starts the keeper; returns its link (non-blocking).  Dies (111).  libsodium
 * must have been initialised. */
int hashd_start(void);

#endif
