/* SPDX-License-Identifier: ISC
 * request: the requests of qmgr that dial works on, from the domain's name to
 * the connected socket in remote's hands, or to a verdict.
 */
#ifndef REQUEST_H
#define REQUEST_H

#include "common/link.h"
#include "send/dialconf.h"

/* The neighbours.  Their room() and lost() are the functions below. */
struct request_links {
	struct link qmgr, dnsd, remote;
};

/* Keeps the pointer.  seed: from the kernel. */
void request_init(struct request_links *, uint64_t seed);
/* New settings, for requests that run too; borrowed until the next ones. */
void request_configure(const struct dialconf *);
/* A packet of qmgr, and of dnsd.  What is malformed is logged and dropped. */
void request_take(struct packet *);
void request_answer(struct packet *);
/* qmgr met an address whose server serves nobody. */
void request_serves_nobody(struct packet *);
/* qmgr gives a request up; it is answered F unless it is connected already. */
void request_give_up(struct packet *);
/* One of the links was closed, was made, or takes packets again. */
void request_link_lost(struct link *);
void request_link_made(struct link *);
void request_link_room(struct link *);
/* Ends what took too long; ms until the next look, -1: none is needed. */
int request_time(void);

#endif
