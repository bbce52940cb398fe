/* SPDX-License-Identifier: ISC
 * announce: the link on which listen announces its sessions (INTERNALS.md "A
 * connection").
 */
#ifndef ANNOUNCE_H
#define ANNOUNCE_H

/* Takes a new link over; an older one is dead. */
void announce_link(int fd);

#endif
