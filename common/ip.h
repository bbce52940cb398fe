/* SPDX-License-Identifier: ISC
 * ip: addresses of peers and networks, IPv4 and IPv6 alike.  Pure.
 */
#ifndef IP_H
#define IP_H

#include <sys/socket.h>
#include "common/buf.h"

struct ip {
	unsigned char b[16]; /* IPv4 as ::ffff:a.b.c.d */
};

/* "192.0.2.1", "2001:db8::1" (no scope, no brackets).  False: not one. */
bool ip_parse(struct str, struct ip *);
/* As text; IPv4-mapped as plain IPv4. */
void ip_put(struct buf *, const struct ip *);
bool ip_is_v4(const struct ip *);
bool ip_eq(const struct ip *, const struct ip *);
/* Address and port of a socket address; false for other families. */
bool ip_from_sockaddr(
    const struct sockaddr_storage *, struct ip *, uint16_t *port);
/* The socket address for connect or bind; AF_INET for IPv4. */
socklen_t ip_to_sockaddr(
    const struct ip *, uint16_t port, struct sockaddr_storage *);

struct ip_net {
	struct ip base;
	unsigned bits; /* 0..128, of the mapped form */
};

/* "192.0.2.0/24", "2001:db8::/32", a lone address (all bits), or qmail's
 * "192.0.2." (a prefix that ends in a dot).  False: none of these. */
bool ip_net_parse(struct str, struct ip_net *);
bool ip_net_has(const struct ip_net *, const struct ip *);

#endif
