/* SPDX-License-Identifier: ISC
 * mend: what can be saved of a damaged segment of the journal, on a copy of it
 * in memory.  Pure.  Part of postern-fsck.
 *
 * Recovery goes on after a damaged record at the next 4 KiB boundary only; here
 * every place is looked at.  What was lost for good is replaced by empty marks
 * records, so that the chain of sequence numbers has no gap any more.
 */
#ifndef MEND_H
#define MEND_H

#include "queue/record.h"

/* A record of the segment; one that was saved has been sealed anew. */
struct mend_record {
	struct record r;
	uint64_t at;
	struct str meta, body;
};

struct mend_result {
	uint64_t records;     /* right ones, before the mending */
	uint64_t saved, lost; /* of those between or behind damaged places */
	uint64_t first,
	    end;	/* the bytes that were damaged, at first and last */
	unsigned holes; /* damaged places */
	bool torn; /* the last place is the end: perhaps never acknowledged */
	uint64_t last; /* sequence of the last record */
};

/* Mends the n bytes at p, a segment with this head.  `found` (may be NULL) is
 * called for each record, saved ones included, in order. */
void mend_segment(const unsigned char key[RECORD_KEY],
    const struct segment_head *, char *p, size_t n, struct mend_result *,
    void (*found)(const struct mend_record *));

/* What a damaged header must have said. */
struct mend_guess {
	struct segment_head head; /* epoch, first_sequence, last_id: sure */
	uint64_t last;		  /* sequence */
	bool any;		  /* there are records; else nothing is set */
	bool same_life; /* what is left of the header is of these records, so
			 * that its use and number count */
	bool use_known; /* its use is 0 or 1 */
};
void mend_head(const unsigned char key[RECORD_KEY], struct str segment,
    struct mend_guess *);

/* Calls found for the newest generation of right records in a piece of a
 * segment, which stood at offset `at` (a multiple of 8) in it. */
void mend_scan(const unsigned char key[RECORD_KEY], struct str piece,
    uint64_t at, void (*found)(const struct mend_record *));

#endif
