/* SPDX-License-Identifier: ISC
 * mailbox: an address as programs of this host write it in an envelope, made
 * canonical.  Pure.
 */
#ifndef MAILBOX_H
#define MAILBOX_H

#include "common/address.h"

/* Puts the canonical form of `raw`.  A local part without a domain gets @host.
 * qmail's envelopes hold local parts without their quotes: one that RFC 5321
 * allows only in quotes gets them.  SYNTAX: it is no address even so. */
enum address_status mailbox_put(
    struct buf *out, struct str raw, struct str host);
/* The same for a sender: the null path and #@[] (the sender of a double bounce)
 * stay as they are. */
enum address_status mailbox_put_sender(
    struct buf *out, struct str raw, struct str host);

#endif
