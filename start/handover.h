/* SPDX-License-Identifier: ISC
 * handover: one accepted connection on its way to queued or filter, to userd
 * and to a template (INTERNALS.md "A connection").
 */
#ifndef HANDOVER_H
#define HANDOVER_H

#include "common/ip.h"

/* LINK_STREAM: queued, or the filter before it. */
enum handover_link { LINK_STREAM, LINK_USERD, LINK_TEMPLATE, LINKS };

enum handover_status {
	HANDOVER_DONE,
	HANDOVER_WAITS, /* the link at which it stands cannot take it now */
	HANDOVER_GONE,	/* so, and that link is dead */
	HANDOVER_FAILED /* errno; the caller refuses the connection */
};

struct handover {
	/* set by the caller */
	struct ip peer_ip, local_ip;
	uint16_t peer_port, local_port;
	bool relay;
	int connection;
	/* handover's own */
	enum handover_link at;
	char sid_text[24], peer_text[64];
	struct str sid, peer; /* peer_ip as text */
	int stream[2], ask[2],
	    life[2]; /* near and far ends; life: read, write */
};

/* Session ids begin with s (smtp) or p (pop3). */
void handover_init(bool is_smtp);
/* Makes the sockets of a session that admit_take has counted.  DONE or
 * FAILED. */
enum handover_status handover_begin(struct handover *);
/* Sends what can be sent over the links (-1: there is none now).  After DONE
 * and FAILED nothing of it is open here, after FAILED but the connection. */
enum handover_status handover_send(struct handover *, const int links[LINKS]);

#endif
