/* SPDX-License-Identifier: ISC
 * queue_select: the arguments of `postern queue`: filters, ids and switches.
 * Pure but for error texts on standard error.
 */
#ifndef QUEUE_SELECT_H
#define QUEUE_SELECT_H

#include "queue/select.h"

struct queue_args {
	struct selection what;
	char states[SELECT_STATES]; /* storage of what.states */
	bool filtered;		    /* a filter was given */
	bool all, dry, json, wide, senders;
	uint64_t limit; /* 0: none */
	uint64_t top;	/* 0: not given */
	struct str text;
	int id_count;
	char **ids;
};

/* Reads argv[0] .. argv[argc - 1]; ids are moved to its front.  now: seconds
 * since 1970, for ages.  False: wrong, and said so. */
bool queue_args_read(struct queue_args *, int argc, char **argv, int64_t now);
/* The id that stands there; false: it is none, and said so. */
bool queue_args_id(const char *arg, uint64_t *id);

const char *queue_state_name(char letter);

#endif
