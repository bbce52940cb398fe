/* SPDX-License-Identifier: ISC
 * patience: gives up connections that no server answers, the oldest first, when
 * other hosts wait for their places.  Part of qmgr.
 */
#ifndef PATIENCE_H
#define PATIENCE_H

#include "queue/agent.h"

/* What nobody has answered since then: an agent, or a connect (its key). */
struct silent {
	int64_t since; /* ms */
	bool suspect;  /* its host failed lately */
	bool brief;    /* its place is */
	struct agent *agent;
	uint64_t key;
};

/* Call it every tenth of a second. */
void patience_tick(int64_t now_ms);

#endif
