/* SPDX-License-Identifier: ISC
 * select: which recipients an administrator means: the filters of `postern
 * queue`, evaluated in qmgr so that only what matches travels.  Pure.  Public:
 * postern writes what qmgr reads.
 */
#ifndef SELECT_H
#define SELECT_H

#include "common/packet.h"

enum { SELECT_PATTERN = 320, SELECT_STATES = 16 };

/* What must hold of a recipient; empty and 0: anything.  Patterns know * and ?
 * and no case; `reason` without one of these is looked for anywhere in it.  The
 * sender pattern <> means the null sender. */
struct selection {
	uint64_t id;
	uint64_t born_from, born_until;	 /* seconds since 1970, both included */
	uint64_t size_from, size_until;	 /* bytes, both included */
	struct str sender, rcpt, domain; /* domain: of the recipient */
	struct str reason;		 /* of the last deferral or failure */
	struct str states; /* letters as in INTERNALS.md, "Ask: qmgr" */
};

/* Reads one off a packet; views into it.  p->bad when there is none. */
void selection_get(struct packet *, struct selection *);
/* Puts one; out->full when a pattern is too long. */
void selection_put(struct buf *, const struct selection *);

struct selected_message {
	uint64_t id, birth, size;
	struct str sender;
};

/* Does the message's side match?  And a recipient's? */
bool selection_message(
    const struct selection *, const struct selected_message *);
bool selection_rcpt(const struct selection *, char state, struct str address,
    struct str reason);
/* Does the text match a pattern with * (any bytes) and ? (one), in any case? */
bool select_glob(struct str pattern, struct str text);

#endif
