/* SPDX-License-Identifier: ISC
 * facts: what whoever made a frame stream says of it, out of reach of the
 * parser at its other end: packet `S` of listen, frame `P` (INTERNALS.md
 * "Stream"). Pure.
 */
#ifndef FACTS_H
#define FACTS_H

#include <sys/types.h>
#include "common/limits.h"
#include "common/packet.h"

struct facts {
	struct str sid, peer_ip; /* views */
	bool relay;		 /* may send to anywhere */
};

enum { FACTS_ROOM = LIMIT_SID + LIMIT_PEER + 16 };

/* Takes all that is left of p.  False: it is bad, or more than facts. */
bool facts_take(struct packet *p, struct facts *);
void facts_put(struct buf *, const struct facts *);

/* A session that nobody has named gets the id PREFIXuid-number, of which six
 * digits. */
void facts_put_sid(struct buf *, const char *prefix, uid_t, uint64_t number);

#endif
