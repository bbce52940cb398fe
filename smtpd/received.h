/* SPDX-License-Identifier: ISC
 * received: the trace header on top of what arrives (RFC 5321 4.4).  Pure.
 */
#ifndef SMTPD_RECEIVED_H
#define SMTPD_RECEIVED_H

#include "common/buf.h"

struct received {
	struct str helo;      /* as the client said it: hostile */
	struct str peer_ip;   /* text, or empty when it is not known */
	struct str peer_name; /* a checked host name or a user, or empty */
	struct str me, sid;
	bool esmtp;
	int64_t now; /* seconds since 1970 */
};

enum { RECEIVED_MAX = 1024 };

/* Puts the header, LF lines, at most RECEIVED_MAX bytes.  What is no host name
 * or address literal in helo has its other bytes replaced by '?'. */
void received_put(struct buf *, const struct received *);

#endif
