/* SPDX-License-Identifier: ISC
 * wishes: lists of what was asked of queued and is not answered yet, in the
 * order of asking, so that it can be asked again over a new link.  Part of
 * qmgr; no I/O.
 */
#ifndef WISHES_H
#define WISHES_H

#include <stddef.h>
#include <stdint.h>

struct wish {
	uint32_t subject; /* a recipient; a message (bodies, verdicts H, R) */
	uint32_t before, after;
	char verdict;
	struct agent *agent;
	char *bytes; /* of malloc, or NULL: a packet ready to send */
	size_t n;
	uint64_t serial; /* counts up with every wish_add */
};

/* All zero: empty. */
struct wishes {
	uint32_t first, last;
	uint32_t unsent; /* first that was not sent on this link */
	uint32_t unsent_count;
};

/* Adds a wish at the end, unsent; its number.  Takes over bytes. */
uint32_t wish_add(struct wishes *, struct wish);
struct wish *wish_at(uint32_t number);
/* It is answered: frees it. */
void wish_remove(struct wishes *, uint32_t number);
/* The first count unsent ones have been sent. */
void wish_sent(struct wishes *, uint32_t count);
/* A new link: none has been sent. */
void wishes_again(struct wishes *);

#endif
