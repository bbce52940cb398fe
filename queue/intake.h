/* SPDX-License-Identifier: ISC
 * intake: takes what queued tells of messages and their recipients into the
 * index (INTERNALS.md "Notes", N and n).  Part of qmgr.
 */
#ifndef INTAKE_H
#define INTAKE_H

#include "common/packet.h"
#include "queue/delivery.h"

/* Each false: a packet that breaks the rules. */
/* N; epoch: that of the link, kept with the message. */
bool intake_note(struct packet *, int *fds, size_t nfds, bool epoch);
/* n */
bool intake_more(struct packet *);
/* The body came, and is kept if there is room, or it must.  Takes *fd. */
void intake_body(
    uint32_t message, int *fd, uint64_t offset, uint64_t size, bool must);
/* The index was full, and what was left out could be read now. */
bool intake_has_room_again(void);
void message_flag(struct message *, unsigned flag, bool on);

#endif
