/* SPDX-License-Identifier: ISC
 * client: who asks userd, and what each may ask: sessions that listen
 * announced, qmgr's link, and whoever connects to run/users.
 */
#ifndef USERS_CLIENT_H
#define USERS_CLIENT_H

#include <sys/types.h>
#include "common/str.h"
#include "users/tables.h"

enum client_right {
	CLIENT_R = 1,  /* is this recipient good? */
	CLIENT_W = 2,  /* where does it go? */
	CLIENT_L = 4,  /* log in */
	CLIENT_Q = 8,  /* why? */
	CLIENT_H = 16, /* read the tables again */
	CLIENT_P = 32  /* say facts of a session, as the first packet */
};

struct client_users {
	uid_t own, smtpd, popup;
	bool one; /* a suite that runs as one ordinary user */
};

/* The tables in force; whoever replaces them sets it.  NULL: none. */
extern const struct tables *client_tables;
extern const struct table *client_accounts;
/* Reads the tables again: NULL, or what is wrong. */
extern const char *(*client_reload)(void);

/* Puts the listening socket (-1: none) under watch. */
void client_init(const struct client_users *, int listen_fd);
/* A session that listen announced; owns fd.  may: CLIENT_R or CLIENT_L. */
void client_session(int fd, struct str sid, struct str ip, unsigned may);
/* A link that asks W; owns fd. */
void client_link(int fd);
/* Before each wait: closes strangers that stay silent.  ms until it must run
 * again, -1 when there is none. */
int client_expire(void);

#endif
