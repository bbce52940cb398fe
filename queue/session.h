/* SPDX-License-Identifier: ISC
 * session: what the frames of a stream mean (INTERNALS.md "Stream").  No I/O
 * but that of draft.h.
 */
#ifndef SESSION_H
#define SESSION_H

#include <sys/types.h>
#include "common/domains.h"
#include "queue/draft.h"

enum session_kind {
	SESSION_SMTP,
	SESSION_LOCAL,
	SESSION_BOUNCE,
	SESSION_PICKUP
};

struct session {
	struct stream *stream; /* given to its drafts */
	enum session_kind kind;
	bool relay;	     /* may send to anywhere */
	bool of_user;	     /* of this host, and not root */
	bool may_tell_facts; /* its first frame may be `P` */
	bool may_drop;	     /* pickup has said which files it has */
	bool large;	     /* a message goes to a file: wait for it */
	int64_t seen;	     /* of fill.h */
	unsigned in_flight;  /* drafts that were committed */
	struct draft *draft;
	uint8_t sid_n;
	char sid[LIMIT_SID];
};

struct session_limits {
	uint64_t databytes; /* 0: none */
	const struct domains *domains;
};

/* Keeps the pointer. */
void session_init(struct spool *);
/* Borrows the domains until the next call. */
void session_set_limits(const struct session_limits *);
void session_set_sid(struct session *, struct str sid);
/* Its id becomes the one of facts_put_sid. */
void session_name(struct session *, const char *prefix, uid_t, uint64_t number);
struct str session_sid(const struct session *);
/* Takes whole frames off *in, until the end or until it must wait.  False: the
 * peer does not speak our language, or there is no memory at all. */
bool session_take(struct session *, struct str *in);
/* True while answers have to come before more is taken. */
bool session_must_wait(const struct session *);
/* One of its committed drafts is done. */
void session_draft_done(struct session *);
/* As draft_relieve. */
void session_relieve(size_t memory);
/* Forgets the message begun. */
void session_reset(struct session *);

#endif
