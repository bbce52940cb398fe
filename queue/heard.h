/* SPDX-License-Identifier: ISC
 * heard: what qmgr says on its link (INTERNALS.md "Notes").
 */
#ifndef HEARD_H
#define HEARD_H

#include "common/packet.h"
#include "queue/spool.h"

/* Keeps the pointer. */
void heard_init(struct spool *);
/* Takes a packet that came over that link.  False: it breaks the rules. */
bool heard_packet(struct packet *, unsigned link);

#endif
