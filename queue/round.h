/* SPDX-License-Identifier: ISC
 * round: packets that are put together one after another and leave in one
 * system call, each with a descriptor or without.  There is one round.
 */
#ifndef ROUND_H
#define ROUND_H

#include "common/packet.h"

enum { ROUND_MAX = 32 };

/* True when it must be sent before another packet is added. */
bool round_is_full(void);
unsigned round_count(void);
/* A buffer with room for any packet; round_add takes what is put into it.  Not
 * when it is full. */
struct buf round_place(void);
/* Takes over fd, which may be -1. */
void round_add(const struct buf *packet, int fd);
/* Sends the packets in order, and empties the round.  The number that went;
 * when that is less than all, errno says why. */
unsigned round_send(int socket);

#endif
