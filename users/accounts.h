/* SPDX-License-Identifier: ISC
 * accounts: who has an account on this host, for a command that asks userd's
 * rules.  Public: `postern check` does, too.
 */
#ifndef USERS_ACCOUNTS_H
#define USERS_ACCOUNTS_H

#include "common/table.h"

/* What postern-start's snapshot gives to userd (tables_accounts): the persons'
 * names by their lower case; in a suite of one user only that one's.  NULL: no
 * memory. */
struct table *accounts_read(void);

#endif
