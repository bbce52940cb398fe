/* SPDX-License-Identifier: ISC
 * bounces: the link to postern-bounce.  Part of qmgr.
 */
#ifndef BOUNCES_H
#define BOUNCES_H

#include "queue/delivery.h"

/* A new link; takes fd over.  What was not answered is asked again. */
void bounces_link(int fd);
/* Has the message's FAILED recipients bounced: one bounce for all of them, as
 * far as they fit.  Nothing when one is out already. */
void bounces_start(uint32_t message);
/* queued answered the request for the body: K, Z not now, D never. */
void bounces_body(uint32_t message, char verdict, struct str text);
/* Sends what waits and repeats what was put off. */
void bounces_flush(int64_t now_ms);
/* Milliseconds until bounces_flush has something to do; -1: nothing. */
int64_t bounces_wait(int64_t now_ms);

#endif
