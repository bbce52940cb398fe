/* SPDX-License-Identifier: ISC
 * domains: which domains are ours, from control/locals, virtualdomains and
 * rcpthosts (qmail's meaning; a name that starts with a dot stands for every
 * domain below it).  Used alike by userd, queued and qmgr.
 */
#ifndef DOMAINS_H
#define DOMAINS_H

#include "common/str.h"

enum domain_kind {
	DOMAIN_FOREIGN, /* not ours: relaying */
	DOMAIN_LOCAL, /* control/locals: virtual users, aliases, system users */
	DOMAIN_VIRTUAL, /* control/virtualdomains: virtual users and aliases */
	DOMAIN_RELAYED	/* only in control/rcpthosts: goes to its MX */
};

struct domains;

/* Loads the three files below dirfd.  NULL when one is wrong (logged).
 * locals defaults to control/me. */
struct domains *domains_load(int dirfd);
void domains_free(struct domains *); /* NULL is fine */
/* Domain in any case, or an address literal as it stands in the address.
 * *prepend is set for DOMAIN_VIRTUAL to what stands behind the colon of
 * virtualdomains (may be empty), else to the empty str. */
enum domain_kind domains_find(
    const struct domains *, struct str domain, struct str *prepend);
/* True when the domain of this canonical address is ours. */
bool domains_has(const struct domains *, struct str address);

#endif
