/* SPDX-License-Identifier: ISC
 * orphans: sessions and deliveries that are left when all roles have ended.
 */
#ifndef ORPHANS_H
#define ORPHANS_H

/* Gives every child process of ours a moment to end by itself, then SIGTERM,
 * then SIGKILL; reaps them all.  Takes four seconds at the most. */
void orphans_end(void);

#endif
