/* SPDX-License-Identifier: ISC
 * envelope: the contents of the journal's records and of the entries of a
 * message's file: envelopes, marks, replacements.  Pure.  Public: what an
 * address in a frame may be.
 */
#ifndef ENVELOPE_H
#define ENVELOPE_H

#include "common/limits.h"
#include "common/packet.h"

enum {
	ENVELOPE_8BIT =
	    2, /* flag: the body has bytes over 0x7f (as in notes) */
	/* flag: it came from the drop box, and the first recipient is not one,
	 * but the file there: finished when that is gone */
	ENVELOPE_DROPPED = 4,
	/* recipients of a message, those that replaced others included */
	ENVELOPE_RECIPIENTS = 16384,
	ENVELOPE_FINISHED = 4096, /* recipients that one message finishes */
	/* all but the recipients */
	ENVELOPE_HEAD = 512 + 4 * ENVELOPE_FINISHED,
	ENVELOPE_MAX =
	    ENVELOPE_HEAD + (LIMIT_RECIPIENTS + 1) * (LIMIT_ADDRESS + 4),
	ENVELOPE_MARK = 13 /* bytes of one mark */
};

/* idx of a mark that speaks of the whole message: H (held), R (released). */
#define MARK_MESSAGE UINT32_MAX

/* A row of length-prefixed strings, checked when it was opened. */
struct strings {
	uint32_t count;
	struct str bytes;
};

/* Takes the next string off the row; false at its end. */
bool strings_next(struct strings *, struct str *);

struct envelope {
	uint8_t flags;
	uint64_t birth; /* seconds since 1970 */
	struct str sender, sid;
	uint64_t finishes;   /* this message finishes recipients of that id */
	struct str finished; /* their numbers, 4 bytes each */
	struct strings recipients;
};

/* Puts all but the recipients' bytes, which follow it as they are. */
void envelope_put_head(struct buf *, const struct envelope *);
/* Views into `in`.  False: not an envelope, or over a limit. */
bool envelope_open(struct str in, struct envelope *);
/* How many recipients it has that are addresses. */
uint32_t envelope_addresses(const struct envelope *);
/* What stands for the file with this key in the drop box. */
void envelope_put_drop(struct buf *, uint64_t key);
/* True, and the key of its file, for a message from the drop box. */
bool envelope_drop(const struct envelope *, uint64_t *key);
/* The i-th number in e->finished. */
uint32_t envelope_finished(const struct envelope *, size_t i);

struct mark {
	uint64_t id;
	uint32_t idx;
	char verdict;
};

/* True for a mark that holds or releases a message. */
bool mark_is_hold(const struct mark *);
/* A mark as it stands in a record. */
void mark_put(struct buf *, const struct mark *);
/* Takes the next mark off *rest.  False: not a whole one left. */
bool mark_next(struct str *rest, struct mark *);

/* Recipient idx is replaced by the addresses, which are numbered from `first`
 * on. */
struct replacement {
	uint32_t idx, first;
	struct strings by;
};

/* All of it but the addresses, which follow as they are. */
void replacement_put_head(struct buf *, const struct replacement *);
/* Views into `in`.  False: it breaks the rules. */
bool replacement_open(struct str in, struct replacement *);

/* True for what may stand in an envelope: at most LIMIT_ADDRESS printable ASCII
 * bytes; a recipient also needs something on both sides of its last @. */
bool envelope_sender_ok(struct str);
bool envelope_recipient_ok(struct str);

#endif
