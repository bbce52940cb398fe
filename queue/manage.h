/* SPDX-License-Identifier: ISC
 * manage: the control socket run/qmgr, where `postern queue` and `postern
 * status` ask and order.  Part of qmgr.
 */
#ifndef MANAGE_H
#define MANAGE_H

#include "common/str.h"

/* Begins to answer on the listening socket, once the index is whole: until then
 * who asks waits.  Dies when it cannot. */
void manage_open(int listen_fd);
/* queued answered the request for the body; text: why there is none. */
void manage_body(uint32_t message, bool there, struct str text);
/* queued says how far settling is. */
void manage_settled(uint64_t bound, uint64_t left);
/* Marks have become durable: orders that wait for them are answered. */
void manage_marked(void);

#endif
