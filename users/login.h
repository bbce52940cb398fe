/* SPDX-License-Identifier: ISC
 * login: password checks that wait or run, and the hand-over of the connection
 * to become.  A fixed number of them; every one ends with login_done.
 */
#ifndef USERS_LOGIN_H
#define USERS_LOGIN_H

#include "common/str.h"
#include "users/tables.h"

enum { LOGIN_ALREADY = 4096, LOGIN_FDS = 3, LOGIN_MAX = 256 };

struct login_request {
	struct str user, password, already, sid, ip;
	int fds[LOGIN_FDS]; /* in, out, life */
	void *owner;	    /* who is told */
};

/* The tables in force; whoever replaces them sets it.  NULL: none. */
extern const struct tables *login_tables;
extern const struct table *login_accounts;
/* Tells owner how it ended: K (pop3d has the connection), D or Z and why. */
extern void (*login_done)(void *owner, char verdict, const char *text);

/* Takes the request, its descriptors too, always.  Its end may be told before
 * this returns. */
void login_begin(const struct login_request *);
/* The owner is gone: what can be dropped is. */
void login_forget(void *owner);
/* A new link to become (owned from here on). */
void login_link(int fd);
/* Before each wait: times out what is too old.  ms until it must run again, -1
 * when nothing waits. */
int login_expire(void);
/* Watches for free hash workers. */
void login_init(void);

#endif
