/* SPDX-License-Identifier: ISC
 * baselock: one local for a user at a time, whatever happens to become: names
 * in tmp/ rely on it.
 */
#ifndef SEND_BASELOCK_H
#define SEND_BASELOCK_H

/* Locks a directory (flock), waiting up to wait_ms; the lock goes with the
 * process.  0, also on a file system without locks (logged); -1: another
 * process holds it. */
int baselock_take(int fd, int wait_ms);

#endif
