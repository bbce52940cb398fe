/* SPDX-License-Identifier: ISC
 * route: control/smtproutes, with qmail's meaning: lines domain:host:port.
 * Public: dial applies it, qmgr uses it as the key of its destinations.
 *
 *   domain:host        mail for domain goes to host, port 25
 *   .domain:host:port  the same for every name below domain
 *   :host              everything that no other line names
 *   domain:            by MX after all
 *
 * host is a name, an IPv4 address, or an address in brackets ([192.0.2.1],
 * [2001:db8::1]).  Of two lines for one domain the later counts.
 */
#ifndef ROUTE_H
#define ROUTE_H

#include "common/str.h"

enum { ROUTE_PORT = 25 };

struct route {
	struct str domain; /* may be empty, or start with a dot */
	struct str host;   /* no brackets; empty: by MX */
	uint16_t port;
};

struct routes;

/* Parses one line; out's strs are views into it.  Pure.  NULL, or what is
 * wrong with the line. */
const char *route_parse(struct str line, struct route *out);

/* NULL when the file is wrong (logged); a missing file is an empty table. */
struct routes *routes_load(int control_dirfd);
void routes_free(struct routes *); /* NULL is fine */

/* True when a line sends the domain (in any case; a literal as it stands in
 * the address) to a host; *host is in lower case and lives as long as the
 * table.  False: by MX.  The first that is there counts: the domain itself,
 * .parent from the longest to the shortest, the empty one. */
bool routes_find(
    const struct routes *, struct str domain, struct str *host, uint16_t *port);

#endif
