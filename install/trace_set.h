/* SPDX-License-Identifier: ISC
 * trace_set: which log lines belong together: the queue ids and session ids
 * that `postern trace` follows.  No I/O.
 */
#ifndef TRACE_SET_H
#define TRACE_SET_H

#include "install/logline.h"

enum trace_kind { TRACE_QID, TRACE_SID };

/* Adds an id.  False: no memory. */
bool trace_set_add(enum trace_kind, struct str id);
bool trace_set_has(enum trace_kind, struct str id);
/* How many ids there are. */
size_t trace_set_count(void);
/* An address to look for in every line; any case. */
void trace_set_address(struct str address);

/* Learns from a line which other ids belong to those that are known.  False: no
 * memory. */
bool trace_set_learn(struct str line);
/* Is the line about one of them? */
bool trace_set_wants(struct str line);

#endif
