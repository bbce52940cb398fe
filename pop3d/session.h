/* SPDX-License-Identifier: ISC
 * session: the transaction and update states of POP3 (RFC 1939 sections 5 and
 * 6), over a connection and an open maildrop.
 */
#ifndef POP3D_SESSION_H
#define POP3D_SESSION_H

#include "pop3d/conn.h"
#include "pop3d/maildrop.h"

struct session {
	struct conn conn;
	struct maildrop drop;
	/* for the log */
	uint32_t retrieved, deleted, moved, failed, errors;
	uint64_t octets;
};

enum session_end {
	SESSION_QUIT,	 /* UPDATE has been done */
	SESSION_LOST,	 /* the client went away: nothing was deleted */
	SESSION_TIMEOUT, /* it was silent for too long, or stopped reading */
	SESSION_ERRORS	 /* it made too many mistakes */
};

/* Serves an open maildrop until the session ends.  The reply to PASS has been
 * put already. */
enum session_end session_run(struct session *);

#endif
