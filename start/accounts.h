/* SPDX-License-Identifier: ISC
 * accounts: a snapshot of the account database for userd, who cannot read it
 * from inside its sandbox: lines "name:uid:home" of the people's accounts.
 */
#ifndef ACCOUNTS_H
#define ACCOUNTS_H

#include "start/family.h"

/* Takes the first snapshot and watches /etc for a new passwd.  After
 * loop_init.  What goes wrong is logged; userd then knows no accounts. */
void accounts_init(struct family *);
/* Takes a snapshot anew. */
void accounts_take(struct family *);

#endif
