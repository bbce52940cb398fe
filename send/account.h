/* SPDX-License-Identifier: ISC
 * account: as whom become may act.  The one place that says no to root and to
 * system accounts.
 */
#ifndef SEND_ACCOUNT_H
#define SEND_ACCOUNT_H

#include <sys/types.h>
#include "common/limits.h"
#include "common/str.h"
#include "common/verdict.h"

enum { ACCOUNT_HOME = 512 };

struct account {
	uid_t uid;
	gid_t gid;
	char name[LIMIT_USER + 1];
	char home[ACCOUNT_HOME]; /* empty: the mail directory */
};

/* The owner of the virtual mailboxes: the user posternm, or, in a suite that an
 * ordinary user runs, that user.  Dies when there is none.  Call first. */
void account_init(struct account *owner);
/* A system user who may be acted for, or with an empty name the owner.  true;
 * else *verdict and *text (which lives for ever) say why not. */
bool account_find(const struct account *owner, struct str name,
    struct account *out, enum verdict *verdict, const char **text);

#endif
