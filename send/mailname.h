/* SPDX-License-Identifier: ISC
 * mailname: what a delivery into a Maildir is called, and what is put in front
 * of the message.  Pure.
 *
 * A name is a function of queue id and recipient alone, so that a message that
 * is delivered again (after a crash, say) can be recognised:
 *
 *	SECONDS.Q<queue id>R<hash of the recipient>.HOST,S=<size>,W=<wire size>
 *
 * Everything before HOST is the unique part.  SECONDS are those of the queue
 * id.  S and W as in Maildir++: bytes of the file, and bytes with CRLF line
 * ends.  When the last line has no end there is no W, for programs differ on
 * what such a message comes to.
 */
#ifndef SEND_MAILNAME_H
#define SEND_MAILNAME_H

#include "common/buf.h"
#include "common/limits.h"

enum {
	MAILNAME_UNIQUE = 64, /* room for a unique part */
	MAILNAME_HOST = 64,   /* of a host's name, as escaped, at the most */
	MAILNAME_MAX = 192,   /* room for a whole name and its NUL */
	MAILNAME_HEAD = 2 * LIMIT_ADDRESS + 64 /* room for mailname_put_head */
};

/* Puts the unique part.  The recipient counts as lower case. */
void mailname_put_unique(struct buf *, uint64_t id, struct str recipient);
/* Puts a host's name as it may stand in a name: / : and , and what is not
 * printable as \ooo (maildir(5)), cut to MAILNAME_HOST bytes. */
void mailname_put_host(struct buf *, struct str host);
/* Puts the whole name; host comes from mailname_put_host.  wire_size 0: no W.
 */
void mailname_put(struct buf *, struct str unique, struct str host,
    uint64_t size, uint64_t wire_size);
/* True when `name` (maybe with :2,FLAGS behind it) has this unique part. */
bool mailname_is(struct str name, struct str unique);

/* True for an address that may stand in a header line: no control bytes. */
bool mailname_clean(struct str address);
/* Puts the Return-Path and Delivered-To lines. */
void mailname_put_head(struct buf *, struct str sender, struct str recipient);
/* How many LF bytes s holds. */
size_t mailname_count_lf(struct str s);

#endif
