/* SPDX-License-Identifier: ISC
 * announce: the link on which listen announces its sessions (INTERNALS.md "A
 * connection").
 */
#ifndef ANNOUNCE_H
#define ANNOUNCE_H

#include "common/facts.h"

/* Takes a new link over; an older one is dead.  Each session goes to serve,
 * which takes its fd over; the facts are gone after the call. */
void announce_link(int fd, void (*serve)(int fd, const struct facts *));

#endif
