/* SPDX-License-Identifier: ISC
 * change: marks and replacements on their way to the disk: what qmgr says of
 * messages that are there.
 */
#ifndef CHANGE_H
#define CHANGE_H

#include "queue/spool.h"
#include "queue/bytes.h"

/* Keeps the pointer. */
void change_init(struct spool *);
/* A final verdict; `link` comes back to teller_marked.  False: no memory. */
bool change_mark(const struct mark *, unsigned link);
/* Recipient idx of id becomes these; teller_replaced gets the outcome.  False:
 * no memory. */
bool change_replace(
    uint64_t id, uint32_t idx, const struct strings *by, unsigned link);
/* Bytes that wait. */
size_t change_backlog(void);
/* True when a replacement waits. */
bool change_is_urgent(void);
/* Milliseconds that marks may wait for a message that they could go with; -1:
 * none waits. */
int change_may_wait(void);
/* Puts marks and replacements into the batch.  True when there are any, even
 * such as need no record. */
bool change_gather(void);
/* The batch is durable, in segment number. */
void change_apply(uint32_t number);
/* The batch has failed: all wait as before. */
void change_take_back(void);
/* Empties b and puts the room for a record's head into it, with n bytes to
 * come.  False: no memory. */
bool change_begin_record(struct bytes *b, size_t n);

#endif
