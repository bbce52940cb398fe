/* SPDX-License-Identifier: ISC
 * tables: all that userd knows, read whole into memory: users, aliases and
 * relayrcpts below the users directory, and what it needs of the control
 * directory.  The snapshot of system accounts comes from postern-start. Public:
 * `postern check` reads them too.
 */
#ifndef USERS_TABLES_H
#define USERS_TABLES_H

#include "common/buf.h"
#include "common/domains.h"
#include "common/limits.h"
#include "common/table.h"

struct tables {
	struct table *users;	/* key -> hash:mailbox */
	struct table *bare;	/* local part -> key of the virtual user */
	struct table *twice;	/* local parts that several users have */
	struct table *aliases;	/* key -> targets, see tables_target */
	struct table *imported; /* bare key -> targets: of /etc/aliases */
	struct table *relays;	/* key or @domain -> nothing */
	struct domains *domains;
	bool extensions; /* control/extensions */
	struct str me, postmaster;
	char me_room[LIMIT_DOMAIN + 1], postmaster_room[LIMIT_ADDRESS + 1];
};

enum { TABLES_ERROR = 512 };

/* Reads everything.  A missing table is an empty one.  NULL when anything is
 * wrong: then `wrong` says what, with file and line (and it is logged). */
struct tables *tables_load(int controldir, int usersdir, struct buf *wrong);
void tables_free(struct tables *); /* NULL is fine */

/* The table that `postern alias import` makes; its name below users/. */
#define TABLES_IMPORTED "aliases.imported"
/* Puts text in the place of that table (to see what it would do).  False: then
 * wrong says why. */
bool tables_import(struct tables *, struct str text, struct buf *wrong);

/* Next address of an alias' value, in canonical form; false at the end. */
bool tables_target(struct str *targets, struct str *address);

/* Reads name:uid:home lines: lower-case name -> name.  Lines that are wrong are
 * skipped, their number is logged.  NULL when it cannot be read. */
struct table *tables_accounts(int fd);

#endif
