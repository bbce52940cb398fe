/* SPDX-License-Identifier: ISC
 * job: one job of qmgr for remote (INTERNALS.md "Agents"), parsed.  Pure.
 */
#ifndef JOB_H
#define JOB_H

#include "common/packet.h"
#include "send/client.h"

struct job {
	uint64_t id, offset, size; /* of the body in its descriptor */
	uint8_t flags;
	struct str sender;
	uint32_t idx[CLIENT_RECIPIENTS];
	size_t count;
};

enum { JOB_EIGHT_BIT = 2 };

/* Reads a `J`; strs, the recipients' addresses too, are views into the packet.
 * False: malformed, no recipient, or too many. */
bool job_parse(struct packet *, struct job *,
    struct client_recipient recipients[CLIENT_RECIPIENTS]);
/* True for what can stand in MAIL or RCPT. */
bool job_is_mailbox(struct str);

#endif
