/* SPDX-License-Identifier: ISC
 * endpoint: where a service listens, a line of control/smtplisten or
 * control/pop3listen.  Pure.  Public: `postern check` reads them too.
 */
#ifndef ENDPOINT_H
#define ENDPOINT_H

#include "common/ip.h"

struct endpoint {
	struct ip ip;
	uint16_t port;
};

/* "192.0.2.1:25", "[2001:db8::1]:25", "*:25" (all of IPv4) or "[::]:25".
 * False: none of these. */
bool endpoint_parse(struct str, struct endpoint *);

/* The line `none`: nothing is listened on, for another program (tcpserver,
 * inetd) accepts the connections. */
bool endpoint_is_none(struct str);

#endif
