/* SPDX-License-Identifier: ISC
 * login: the authorization state of POP3 (RFC 1939 section 4): takes USER and
 * PASS, and hands the connection over.  It never learns whether a login was
 * good: userd answers only when it was not.
 */
#ifndef POP3D_LOGIN_H
#define POP3D_LOGIN_H

#include "common/packet.h"
#include "pop3d/conn.h"

/* What travels with the login when a client did not wait for its reply. */
enum { LOGIN_ALREADY_READ = 4 * 1024 };

struct login {
	struct conn conn;
	int ask_fd;	/* userd */
	int life_fd;	/* goes along; closed elsewhere when pop3d has ended */
	struct str sid; /* for the log */
	char user[LIMIT_ADDRESS];
	size_t user_n; /* 0: no USER yet */
	unsigned commands, failures;
	char *packet; /* PACKET_MAX bytes, the caller's */
};

enum login_end {
	LOGIN_GONE,	/* QUIT, or the client went away */
	LOGIN_TIMEOUT,	/* it was silent for too long */
	LOGIN_REFUSED,	/* too many failures or mistakes */
	LOGIN_NO_USERD, /* userd is away: the client has been told */
	LOGIN_HANDED	/* somebody else serves the connection now */
};

/* Greets and serves until the session is over or handed over. */
enum login_end login_run(struct login *);

#endif
