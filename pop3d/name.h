/* SPDX-License-Identifier: ISC
 * name: what the name of a Maildir file says (Maildir: UNIQUE or UNIQUE:FLAGS;
 * Maildir++: ,S=OCTETS of the file and ,W=OCTETS on the wire).  Pure.
 */
#ifndef POP3D_NAME_H
#define POP3D_NAME_H

#include "common/buf.h"

enum { NAME_UID_MAX = 70 }; /* RFC 1939 section 7, UIDL */

/* The part in front of the first colon: the same in new/ and in cur/. */
struct str name_unique(struct str name);
/* Seconds that the name begins with, for the order of delivery; UINT64_MAX when
 * it begins otherwise. */
uint64_t name_time(struct str name);
/* True and *octets when the name has a ,W= that its ,S= (or, without one, ,W=
 * alone) does not disprove: a wire form has at least as many octets as its file
 * and at most two for each, plus a line end. */
bool name_wire_octets(struct str name, uint64_t *octets);
/* True and *octets when the name has a ,S=. */
bool name_file_octets(struct str name, uint64_t *octets);
/* Puts the unique-id: the unique part itself when it is of 1-70 characters from
 * 0x21 to 0x7e (RFC 1939 section 7), else a hash of it. */
void name_put_uid(struct buf *, struct str unique);
/* Puts a hash of `text` in the form of a unique-id, in every case. */
void name_put_hash(struct buf *, struct str text);

#endif
