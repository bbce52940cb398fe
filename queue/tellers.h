/* SPDX-License-Identifier: ISC
 * tellers: who may say of others, at run/queue, who they are and whether they
 * may relay.
 */
#ifndef TELLERS_H
#define TELLERS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { TELLERS = 2 };

/* own: this process's user.  users: of smtpd and filter, who read strangers'
 * mail.  Before the sandbox, which does not tell. */
void tellers_init(uid_t own, const uid_t users[TELLERS]);
/* True for one of these, who may send to our domains only unless it was told
 * otherwise; but not in a suite of one user. */
bool tellers_has(uid_t);
/* True for who may tell facts: these, root, and the one user. */
bool tellers_may_tell(uid_t);

#endif
