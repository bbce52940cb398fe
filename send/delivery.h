/* SPDX-License-Identifier: ISC
 * delivery: one connection to a stranger's server, from its greeting to QUIT:
 * the whole life of a child of postern-remote.
 */
#ifndef DELIVERY_H
#define DELIVERY_H

#include "common/str.h"

struct delivery_setup {
	int net;     /* connected */
	int job;     /* our end of the job socket to qmgr */
	int control; /* from the template: a new job socket now and then */
	struct str host, ip, helo;
	bool strict7bit;
	unsigned timeout_cap; /* seconds; no wait for the server is longer */
};

/* Serves until the job socket or the connection is closed and every report was
 * taken.  Closes nothing; the process is expected to end. */
void delivery_run(const struct delivery_setup *);

#endif
