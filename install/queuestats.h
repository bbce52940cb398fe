/* SPDX-License-Identifier: ISC
 * queuestats: how deep the queue is, asked at run/qmgr.
 */
#ifndef QUEUESTATS_H
#define QUEUESTATS_H

#include "common/str.h"

struct queuestats {
	bool known;
	const char *why; /* when it is not known */
	uint64_t messages, local, remote;
	uint64_t in_flight, deferred, held; /* recipients; held: messages */
	uint64_t oldest;		    /* seconds */
};

/* Asks qmgr, for at most some seconds. */
void queuestats_ask(struct queuestats *);

#endif
