/* SPDX-License-Identifier: ISC
 * hostrules: control/destinations, what one host may be given.  Public: read by
 * qmgr and `postern check`.  A line:
 *
 *   PATTERN [connections=N] [messages=N] [rate=N/second|minute|hour]
 *
 * PATTERN is a domain, .domain for every name below it, the host that
 * control/smtproutes names for a domain, or * for all others.
 */
#ifndef HOSTRULES_H
#define HOSTRULES_H

#include "common/str.h"

enum { HOSTRULE_CONNECTIONS = 20 };

/* 0: not said. */
struct hostrule {
	uint32_t connections; /* at a time; 20 */
	uint32_t messages;    /* on one connection; no limit */
	uint32_t interval_us; /* between two messages; none */
	bool counted;	      /* connections was said */
};

struct hostrules;

/* Parses one line: *pattern is a view into it.  Pure.  NULL, or what is wrong
 * with it. */
const char *hostrule_parse(
    struct str line, struct str *pattern, struct hostrule *);

/* NULL when the file is wrong (logged); a missing file is an empty table. */
struct hostrules *hostrules_load(int control_dirfd);
void hostrules_free(struct hostrules *); /* NULL is fine */
/* What holds for a domain or host (in any case): of each number the one of the
 * line for it, for its longest .parent, for *, or the default. */
struct hostrule hostrules_find(const struct hostrules *, struct str host);

#endif
