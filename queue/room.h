/* SPDX-License-Identifier: ISC
 * room: whether there is room for more: on the disk, in the ring, and after
 * failed writes.
 */
#ifndef ROOM_H
#define ROOM_H

#include "queue/draft.h"

struct room_limits {
	/* of the disk; below them no new mail is taken, and below twice as much
	 * none of this host's users */
	uint64_t floor_bytes, floor_inodes;
};

/* Texts of refusals. */
#define ROOM_FAILED    "4.3.0 Spool cannot be written"
#define ROOM_NO_MEMORY "4.3.2 Out of memory, try again later"

/* Keeps the pointer to the spool; copies the limits. */
void room_init(struct spool *, const struct room_limits *);
void room_set_limits(const struct room_limits *);
/* Looks at the free space of the disk, now and then. */
void room_look(void);
/* True while it is worth waiting for settle to empty a segment: a slow answer
 * is better than a refusal. */
bool room_must_wait(struct draft *);
/* The reason not to take this message now, or NULL. */
const char *room_refusal(const struct draft *);
/* Makes room in the open segment, or opens another; privileged: out of the
 * reserve, too.  False: there is none, or not in this batch. */
bool room_make(uint64_t meta_n, uint64_t body_n, bool privileged);
/* To be called after each write: two that failed in a row end the taking of
 * mail until the next start.  True when it has come to that. */
bool room_is_broken(void);

#endif
