/* SPDX-License-Identifier: ISC
 * replies: what qmgr is owed on its link besides messages: marks that are
 * durable, answers to W, O and S (INTERNALS.md "Notes").  Part of teller.
 */
#ifndef REPLIES_H
#define REPLIES_H

#include "queue/spool.h"

/* The link is gone: so is what waited for it. */
void replies_forget(void);
/* Bytes that wait. */
size_t replies_backlog(void);
void replies_marked(uint64_t id, uint32_t idx);
void replies_replaced(
    uint64_t id, uint32_t idx, char verdict, struct str content);
/* qmgr asks for a body.  False: no memory. */
bool replies_want_body(uint64_t id);
/* qmgr asks how far settling up to bound is. */
void replies_want_settled(uint64_t bound);
/* Sends what waits.  False: not all of it could be sent now. */
bool replies_send(struct spool *);

#endif
