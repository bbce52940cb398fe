/* SPDX-License-Identifier: ISC
 * where: asks userd where a recipient of our domains goes; many questions at a
 * time on one link.  Part of qmgr.
 */
#ifndef WHERE_H
#define WHERE_H

#include "queue/delivery.h"

/* A new link; takes fd over.  What was not answered is asked again. */
void where_link(int fd);
/* Asks for the recipient (already ASKING); delivery_* hears the answer. */
void where_ask(uint32_t rcpt);
/* Sends what has gathered; call before each wait. */
void where_flush(void);

#endif
