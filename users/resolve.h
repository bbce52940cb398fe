/* SPDX-License-Identifier: ISC
 * resolve: who an address is.  The one function behind R (RCPT), W (delivery)
 * and Q (why), so that they cannot disagree.  Pure.
 * Public: `postern check` asks it too.
 *
 * For a domain of control/locals or virtualdomains, in this order:
 *   1. the virtual user of exactly this address
 *   2. the alias of exactly this address; in locals the bare alias `local:` too
 *      locals: the alias that `postern alias import` took from /etc/aliases
 *   3. locals: the system user; with control/extensions = 1 also `user-ext`,
 *      of the longest user name.  virtualdomains with `domain:user`: that
 *      user, with the local part as extension (qmail)
 *   4. the catch-all alias @domain
 *   5. postmaster and abuse, in locals root too: control/postmaster
 *   6. nobody
 */
#ifndef USERS_RESOLVE_H
#define USERS_RESOLVE_H

#include "users/tables.h"

enum resolve_kind {
	RESOLVE_VIRTUAL, /* mailbox */
	RESOLVE_SYSTEM,	 /* user, extension */
	RESOLVE_ALIAS,	 /* targets */
	RESOLVE_MX,	 /* of a domain in rcpthosts only: its MX */
	RESOLVE_FOREIGN, /* not our domain */
	RESOLVE_UNKNOWN, /* our domain, nobody there */
	RESOLVE_LOOP,	 /* an alias that leads to itself, or over 20 deep */
	RESOLVE_NOBODY,	 /* postmaster, who must exist, has no mailbox */
	RESOLVE_EARLY,	 /* a system user? the accounts are not known yet */
	RESOLVE_SYNTAX	 /* no address */
};

enum { RESOLVE_DEPTH = 20, RESOLVE_TEXT = 12 * 1024 };

struct resolved {
	enum resolve_kind kind;
	bool listed; /* MX: relayrcpts has the address, or its domain */
	struct str mailbox, user, extension, targets;
	char room[2 * LIMIT_ADDRESS + 4]; /* of extension, of one target */
};

/* address is canonical; without a domain it is one of control/me.  accounts is
 * NULL until the first snapshot has come.  When why is given, one line for each
 * rule is put there, "rule: what it said", and for an alias what its targets
 * are. */
void resolve(const struct tables *, const struct table *accounts,
    struct str address, struct resolved *out, struct buf *why);

/* May mail for it be accepted from anybody?  Foreign counts as not. */
bool resolve_accepts(const struct resolved *);
/* The enhanced status code and text of a refusal, a deferral or what is so. */
const char *resolve_text(enum resolve_kind);

#endif
