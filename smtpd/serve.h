/* SPDX-License-Identifier: ISC
 * serve: one SMTP session from its greeting to its end: moves bytes between the
 * client, userd and queued, as smtpd/session.h says.
 */
#ifndef SMTPD_SERVE_H
#define SMTPD_SERVE_H

#include "smtpd/session.h"

struct serve_client {
	int in, out;   /* the network */
	int stream_fd; /* to queued; -1: it is not there, which is told */
	int ask_fd;    /* to userd; -1: recipients cannot be looked up */
	/* peer_ip and peer_name (a host name) are empty when not known */
	struct str sid, peer_ip, peer_name;
	bool relay;
	/* stream_fd was connected by path: queued is told the facts first */
	bool say_facts;
};

/* Serves until the session is over; the descriptors stay open. */
void serve(
    const struct serve_client *, const struct session_config *, int timeout_ms);

#endif
