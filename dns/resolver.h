/* SPDX-License-Identifier: ISC
 * resolver: libunbound, set up to forward to the configured servers.  Two
 * contexts: one checks DNSSEC, one does not, and which is used is decided by a
 * self-test: an upstream that strips signatures must not make every signed
 * domain bogus.
 */
#ifndef RESOLVER_H
#define RESOLVER_H

#include "common/str.h"
#include "dns/answer.h"

enum resolver_security { RESOLVER_INSECURE, RESOLVER_SECURE, RESOLVER_UNKNOWN };

struct resolver_result {
	struct answer answer;
	enum resolver_security security;
	struct str records; /* valid during the call */
};

/* Called once for each resolver_ask that returned 0, possibly within it. */
typedef void resolver_done(void *arg, const struct resolver_result *);

/* Reads control/resolvers or /etc/resolv.conf and the trust anchor, and makes
 * all that libunbound makes late.  Before the sandbox.  Dies (100, 111). */
void resolver_init(int control_dirfd);
/* False: control/resolvers is wrong now, and resolver_init would die of it. */
bool resolver_may_begin(int control_dirfd);
/* Starts a question.  0; -1: libunbound refused it. */
int resolver_ask(struct str name, enum answer_type, resolver_done *, void *arg);
/* Runs the self-test when it is due; ms until it is again, -1: never. */
int resolver_tick(void);

#endif
