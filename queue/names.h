/* SPDX-License-Identifier: ISC
 * names: byte strings kept once, with a count of users: addresses, domains, the
 * last texts of deferrals.  Part of qmgr.  Hashed with a secret key (SipHash),
 * so that no sender can pick addresses that collide.
 */
#ifndef NAMES_H
#define NAMES_H

#include "common/str.h"

enum { NAME_MAX_BYTES = 1100 };

/* The key; call once, before the first name. */
void names_init(void);
/* Takes one use of the name (cut to NAME_MAX_BYTES); 0 for the empty str.  The
 * caller gives it back with names_drop.  Dies (111) without memory. */
uint32_t names_take(struct str);
/* One more use of a name at hand. */
uint32_t names_again(uint32_t name);
/* Gives one use back; 0 is fine. */
void names_drop(uint32_t name);
/* How many use it (65535: that or more); 0 for 0. */
uint32_t names_uses(uint32_t name);
/* The bytes; valid as long as the name is used.  Empty for 0. */
struct str names_str(uint32_t name);
/* The name's number when it is in use, else 0; takes no use. */
uint32_t names_find(struct str);
/* Bytes that names take, free ones included. */
uint64_t names_memory(void);

#endif
