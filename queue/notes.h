/* SPDX-License-Identifier: ISC
 * notes: the link to queued.  Messages come from it; marks, replacements and
 * requests for bodies go to it, in batches, and are repeated on a new link
 * until they are answered.  Part of qmgr.
 */
#ifndef NOTES_H
#define NOTES_H

#include "queue/delivery.h"

/* A new link; takes fd over.  queued tells its whole index on it. */
void notes_link(int fd);
/* True when queued has told its whole index since the link was made. */
bool notes_told(void);
/* When the last note came (ms, monotonic). */
int64_t notes_last(void);
/* The recipient (already MARKING) ends with K or D.  agent: acknowledged when
 * the mark is durable; may be NULL. */
void notes_mark(uint32_t rcpt, char verdict, struct agent *agent);
/* The message is held, or released. */
void notes_hold(uint32_t message, bool hold);
/* The newest mark asked for, holds included; and: are all up to there
 * durable? */
uint64_t notes_newest_mark(void);
bool notes_is_durable(uint64_t mark);
/* Sends the W packet in *w for the recipient (already REPLACING). */
void notes_replace(uint32_t rcpt, const struct buf *w, struct agent *agent);
/* Asks for the message's body: agents_body, bounces_body and manage_body hear
 * of it.  A second call before the answer does nothing. */
void notes_body(uint32_t message);
/* Asks queued how far it is in making files of what came up to the bound (0:
 * up to now); manage_settled hears of it. */
void notes_settle(uint64_t bound);
/* Is a mark or a replacement asked for that is not durable yet? */
bool notes_pending(void);
/* Sends what has gathered; call before each wait. */
void notes_flush(void);

#endif
