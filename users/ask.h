/* SPDX-License-Identifier: ISC
 * ask: the answers to R, W and Q (INTERNALS.md "Ask: userd").  Pure but for the
 * tables that it looks into.
 */
#ifndef USERS_ASK_H
#define USERS_ASK_H

#include "common/packet.h"
#include "users/tables.h"

/* Answers one question into out (PACKET_MAX).  t NULL: the tables could not be
 * read, everything is deferred.  False: not one of R, W, Q, or malformed. */
bool ask_answer(const struct tables *t, const struct table *accounts,
    struct packet *question, struct buf *out);
/* Puts a `K`, or a `D` or `Z` with its text. */
void ask_put_verdict(struct buf *out, char verdict, const char *text);

#endif
