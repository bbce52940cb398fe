/* SPDX-License-Identifier: ISC
 * deadhosts: addresses that could not be connected to, or whose server serves
 * nobody, so that not every domain that leads there finds out anew.  Part of
 * dial; no I/O.  An address is left alone for 55, 115, 235 ... at most 295
 * seconds, less than the rest of a destination in qmgr after as many failures.
 */
#ifndef DEADHOSTS_H
#define DEADHOSTS_H

#include "common/ip.h"

/* The address failed now; port 0: all of its ports; why is kept (cut). */
void deadhosts_add(
    const struct ip *, uint16_t port, struct str why, int64_t now_ms);
/* A connection to it was made: nothing is known of that port. */
void deadhosts_forget(const struct ip *, uint16_t port);
/* Is it to be left alone?  Puts why, and how long ago that was. */
bool deadhosts_find(
    const struct ip *, uint16_t port, int64_t now_ms, struct buf *why);
/* Nothing is known of any. */
void deadhosts_clear(void);

#endif
