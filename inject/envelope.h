/* SPDX-License-Identifier: ISC
 * envelope: sender and recipients as postern-queue reads them (qmail-queue's
 * descriptor 1).  Pure; one per process.
 */
#ifndef INJECT_ENVELOPE_H
#define INJECT_ENVELOPE_H

#include "common/buf.h"
#include "common/limits.h"

enum { ENVELOPE_BYTES = LIMIT_RECIPIENTS * (LIMIT_ADDRESS + 2) };

struct envelope {
	char sender[LIMIT_ADDRESS + 1];
	size_t sender_n;
	size_t count;
	bool full;			      /* more than LIMIT_RECIPIENTS */
	struct buf recipients;		      /* "Taddress\0" each */
	uint32_t slots[4 * LIMIT_RECIPIENTS]; /* where it stands + 1 */
	char room[ENVELOPE_BYTES];
};

void envelope_begin(struct envelope *);
/* Both take canonical addresses.  A recipient that is there already is not
 * taken twice. */
void envelope_set_sender(struct envelope *, struct str);
void envelope_add(struct envelope *, struct str recipient);

#endif
