/* SPDX-License-Identifier: ISC
 * role: what every resident program has in common: its arguments, its channel
 * to postern-start, the links to other roles that come through it, reload.
 *
 * postern-start runs a role with these descriptors (and 0 = /dev/null, 1 and
 * 2 = the log).  A link is a fresh socket pair between two roles; start sends
 * each end over the channel of its role, again whenever the other role has been
 * started anew.
 */
#ifndef ROLE_H
#define ROLE_H

#include "common/loop.h"
#include "common/str.h"

enum role_fd {
	ROLE_FD_START = 3,   /* SOCK_SEQPACKET to postern-start */
	ROLE_FD_CONTROL = 4, /* the control directory, O_RDONLY */
	ROLE_FD_DIR = 5,     /* the role's own directory (spool, users, mail) */
	ROLE_FD_LISTEN = 6,  /* first of its listening sockets; more follow */
	ROLE_FD_MAX = 10
};

enum { ROLE_ERROR_MAX = 512 }; /* of an error line that goes to start */

struct role {
	const char *name; /* "queued" */
	const char *user; /* "posternq" */
	const char *help; /* text of --help */
	/* A new link to the role `peer`; the callee owns fd (non-blocking).  An
	 * older link of the same name is dead. */
	void (*on_link)(struct str peer, int fd);
	/* Read the configuration again, all or nothing.  May be NULL. */
	void (*on_reload)(void);
	/* Finish what runs and exit soon (templates).  May be NULL: then the
	 * loop stops. */
	void (*on_finish)(void);
};

/* Start of every resident main: --help, --version, refuses other arguments
 * (100), right user, log, loop, layout.  Dies (100) when the descriptors above
 * are not there, saying that postern-start runs this program. */
void role_init(const struct role *, int argc, char **argv);
/* In a child that is to run another program: it shall not inherit the signals
 * that a role ignores or blocks. */
void role_undo_signals(void);
/* Puts the channel under watch.  Exits the process when start goes away.
 * After sandbox_enter; tells start that the role is ready. */
void role_ready(void);

/* The channel's packets, start to role: 'L' str peer + 1 descriptor; 'H'
 * reload; 'Q' finish.  Role to start: 'R' u8 ready; the version of
 * Landlock that it is confined by (sandbox_landlock); 'E' str line: an error
 * that it has logged (from role_init on), for `postern status`. */

#endif
