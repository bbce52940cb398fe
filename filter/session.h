/* SPDX-License-Identifier: ISC
 * session: what the frames of a stream mean here (INTERNALS.md "Stream"; the
 * same frames as to queued).  No I/O but that of message.h.
 */
#ifndef FILTER_SESSION_H
#define FILTER_SESSION_H

#include "common/domains.h"
#include "common/facts.h"
#include "filter/message.h"

struct session {
	bool relay;	     /* may send to anywhere */
	bool may_tell_facts; /* its first frame may be `P` */
	bool committed;	     /* message is complete: take no more */
	struct message *message;
	uint8_t sid_n, peer_n;
	char sid[LIMIT_SID], peer[LIMIT_PEER];
};

/* Whose recipients a session without the right may name; borrows it until the
 * next call. */
void session_set_domains(const struct domains *);
void session_set_facts(struct session *, const struct facts *);
/* Views into the session. */
struct facts session_facts(const struct session *);
/* Takes whole frames off *in, until the end or until committed is set.  False:
 * the peer does not speak our language, or there is no memory at all. */
bool session_take(struct session *, struct str *in);
/* Forgets its message. */
void session_reset(struct session *);

#endif
