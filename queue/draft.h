/* SPDX-License-Identifier: ISC
 * draft: a message while it arrives: from its first frame until its sender has
 * the answer.  Bodies over LIMIT_SMALL_BODY go to a file in mess/tmp/ as they
 * come.
 */
#ifndef DRAFT_H
#define DRAFT_H

#include "common/arrivals.h"
#include "queue/bytes.h"
#include "queue/spool.h"

struct stream;

struct draft {
	struct arrival arrival; /* first */
	struct draft *next;
	struct stream *stream; /* NULL: nobody waits for the answer */
	int64_t waits_since;   /* ms: for room in the journal; 0: does not */
	uint64_t id;	       /* 0 until it is committed */
	uint32_t slot;
	char verdict;	 /* 'K' until something is wrong */
	const char *why; /* the text to 'Z' and 'D' */
	bool bounce;	 /* may use the journal's reserve */
	bool of_user;	 /* of this host: leaves the last room to others */
	bool has_sender;
	bool dropped; /* it is that file of the drop box */
	uint64_t drop_key;
	uint8_t flags; /* of envelope.h */
	uint16_t sender_n;
	uint32_t recipient_count;
	struct bytes recipients; /* length-prefixed, as in an envelope */
	struct bytes body;	 /* all of it, or what is not in the file yet */
	struct bytes headed;	 /* RECORD_HEAD spare bytes and the envelope */
	uint64_t size;		 /* of the body */
	uint64_t finishes;	 /* as in an envelope */
	struct bytes finished;
	/* large ones only */
	int fd;
	bool named; /* the file is settle's now */
	uint64_t temporary, nonce;
	char sender[LIMIT_ADDRESS];
};

/* NULL: no memory, or over the limit. */
struct draft *draft_new(struct stream *);
/* Gives everything back; a file that was not named is removed. */
void draft_free(struct draft *, const struct spool *);
/* Makes it one that is refused, unless it is already, and forgets its content.
 */
void draft_refuse(
    struct draft *, const struct spool *, char verdict, const char *why);
/* Refuses for now, oldest first, those that have been arriving for long, until
 * all buffers hold no more than `memory`. */
void draft_relieve(const struct spool *, size_t memory);
/* The first that is said of it: it comes from the drop box. */
void draft_drop(struct draft *, const struct spool *, uint64_t key);
void draft_sender(struct draft *, const struct spool *, struct str);
void draft_recipient(struct draft *, const struct spool *, struct str);
void draft_body(struct draft *, const struct spool *, struct str);
/* This message finishes these recipients (4 bytes each) of that one. */
void draft_finishes(
    struct draft *, const struct spool *, uint64_t id, struct str idx);
/* Puts the envelope together.  False: it is refused. */
bool draft_close(struct draft *, const struct spool *, struct str sid);
/* Of a large one, whose id is set: writes what is missing in its file but the
 * head, which settle writes with the body's checksum, before it names it. */
bool draft_complete(struct draft *, const struct spool *);
/* The record's content, once it is put together; a view. */
struct str draft_meta(const struct draft *);

#endif
