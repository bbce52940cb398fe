/* SPDX-License-Identifier: ISC
 * lot: recipients of one message that can go to one place in one job.  Part of
 * qmgr; no I/O.
 */
#ifndef LOT_H
#define LOT_H

#include <stdbool.h>
#include <stdint.h>

enum { LOT_MAX = 100 }; /* recipients of one job */

/* The better ones go first, though the others always get a turn too. */
enum rank {
	RANK_NORMAL,
	RANK_BULK,   /* many recipients, or a sender with many messages */
	RANK_BOUNCE, /* of the null sender */
	RANKS
};

struct entry {
	uint32_t rcpt;
	uint32_t target; /* a name, used once: Maildir or extension */
	bool answered;
};

struct lot {
	struct lot *next; /* in its queue; of its agent */
	uint32_t message;
	uint32_t n, room;
	uint32_t left; /* not answered yet */
	enum rank rank;
	bool sent;	      /* an agent has it */
	bool good;	      /* one of it came back with K or D */
	struct agent *agent;  /* that has it, or fetches the body for it */
	struct lot *fetching; /* next that waits for the same body */
	int64_t sent_at;      /* ms */
	struct entry one;     /* most lots hold one */
	struct entry *more;   /* or NULL */
};

/* The rank of what is to be delivered of the message now. */
enum rank rank_of(uint32_t message);
/* An empty lot of the message, with its rank. */
struct lot *lot_new(uint32_t message);
/* Adds a recipient; target: a name whose use passes over. */
void lot_add(struct lot *, uint32_t rcpt, uint32_t target);
struct entry *lot_entry(struct lot *, uint32_t i);
/* Leaves in the lot what is still to be delivered. */
void lot_trim(struct lot *, bool (*wanted)(uint32_t rcpt));
void lot_free(struct lot *);

#endif
