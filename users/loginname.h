/* SPDX-License-Identifier: ISC
 * loginname: who a name is that somebody logs in with.  Behind L (login). Pure.
 */
#ifndef USERS_LOGINNAME_H
#define USERS_LOGINNAME_H

#include "users/tables.h"

/* Set only when found; views into the tables, the accounts and room. */
struct login {
	bool found;
	bool system; /* mailbox is the user's own Maildir */
	struct str hash;
	struct str name; /* the user's key, or the system user's name */
	struct str mailbox;
	char room[LIMIT_ADDRESS + 2];
};

/* Whose login `user` is: local@domain, or a bare local part or system user's
 * name when only one user has it.  found is false when there is none. */
void loginname_find(const struct tables *, const struct table *accounts,
    struct str user, struct login *out);

#endif
