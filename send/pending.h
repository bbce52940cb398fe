/* SPDX-License-Identifier: ISC
 * pending: the requests that dial has in work, by number, and when the next of
 * them has waited long enough.  What is done with one is request.c's.
 */
#ifndef PENDING_H
#define PENDING_H

#include "common/loop.h"
#include "send/walk.h"

enum request_state {
	REQUEST_FREE,
	REQUEST_DNS,	 /* waits for answers */
	REQUEST_CONNECT, /* a connect is in flight */
	REQUEST_HAND,	 /* connected; remote has not taken it yet */
	REQUEST_TELL	 /* the verdict is not told yet */
};

struct request {
	enum request_state state;
	uint32_t slot;
	uint32_t generation; /* tells answers to an earlier user of the slot */
	uint64_t key;
	int64_t deadline, last_deadline; /* of this state; of the request */
	struct watch watch;		 /* the connection */
	bool forced;			 /* whatever is known of an address */
	struct walk_target target;
	struct walk walk;
};

/* One that is free until pending_begin; NULL: there are too many, or no memory
 * for more. */
struct request *pending_new(void);
/* It is in work from now on, in this state, and must end within ms. */
void pending_begin(struct request *, enum request_state, int64_t ms);
/* Its state must end within ms, and before the request has to. */
void pending_deadline(struct request *, int64_t ms);
/* Closes its connection, if it has one. */
void pending_close(struct request *);
/* It is over: closed and free. */
void pending_free(struct request *);

/* Names one of its questions to dnsd, and finds the request that still waits
 * for that answer; NULL: none. */
uint32_t pending_question(const struct request *, uint32_t number);
struct request *pending_asked(uint32_t question, uint32_t *number);
/* The one with qmgr's key that is not connected yet; NULL: none. */
struct request *pending_find(uint64_t key);

/* Calls act for each in work, or in that state. */
void pending_each(void (*act)(struct request *));
void pending_each_in(enum request_state, void (*act)(struct request *));
/* Calls over for each whose deadline has passed; ms until the next, -1: none */
int pending_time(void (*over)(struct request *));

#endif
