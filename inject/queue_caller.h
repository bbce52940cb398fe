/* SPDX-License-Identifier: ISC
 * queue_caller: what postern-queue, which has a group that its caller has not,
 * takes from that caller, and does not.
 */
#ifndef QUEUE_CALLER_H
#define QUEUE_CALLER_H

#include "common/buf.h"

/* Signals, their mask, the umask and descriptors 0 to 2 become what a program
 * can rely on.  Ends it when 0 or 1 is not open. */
void queue_caller_reset(void);
/* Gives the group of the drop box back for good. */
void queue_caller_drop_group(void);
/* "SID PEER-IP-OR-- RELAY" as the payload of frame P; false when s is empty.
 * Ends the program when it is something else. */
bool queue_caller_facts(struct str s, struct buf *packed);

#endif
