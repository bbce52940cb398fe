/* SPDX-License-Identifier: ISC
 * letter: one message on its way from standard input to the queue program:
 * reads it, completes its header, makes a bare 8-bit text quoted-printable, and
 * hands it over.
 *
 * Memory is bounded: the header is kept whole (COMPOSE_IN at the most); a body
 * with MIME fields streams through; any other body must be seen to its end
 * first, and waits in a file without a name when it is large.
 */
#ifndef LETTER_H
#define LETTER_H

#include "inject/compose.h"
#include "inject/handoff.h"

enum { LETTER_HELD = 64 * 1024 }; /* of the body in memory */

/* What letter_send calls, for the tables of the programs. */
#define ALLOW_LETTER                                                           \
	ALLOW(pread64, "a large body, from its file"),                         \
	    ALLOW(pwrite64, "a large body, to its file"),                      \
	    ALLOW(wait4, "the queue program's exit code")

struct letter {
	/* set by the caller */
	struct compose_request request;
	struct envelope *envelope; /* recipients that are known already */
	struct str sender;	   /* canonical; may be empty */
	bool use_return_path;	   /* Return-Path is the sender */
	bool dot_ends;		   /* a line of a single dot ends it */
	bool print;		   /* to standard output, not to the queue */
	uint64_t max_size;	   /* of the message; 0: any */
	const char *no_recipients; /* what to say then */

	/* its own */
	struct handoff handoff;
	int hold_fd; /* for a large body */
	struct outcome *outcome;
	struct compose_survey survey;
	struct str header;
	size_t body_at; /* in the bytes kept for the header */
	bool in_body;
};

/* The largest file that the process may write now: the sandbox keeps it so. */
uint64_t letter_file_limit(void);
/* Before the sandbox: starts the queue program, and makes the file.  False:
 * outcome says why. */
bool letter_open(struct letter *, struct outcome *);
/* In the sandbox: reads fd 0 to the message's end, hands it over, and sets
 * outcome. */
void letter_send(struct letter *, struct outcome *);
/* No message: lets the queue program go. */
void letter_drop(struct letter *);

#endif
