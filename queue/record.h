/* SPDX-License-Identifier: ISC
 * record: what stands in a segment of the journal: its header and its records,
 * with their keyed checksums.  Pure.  INTERNALS.md "The spool".
 *
 * The checksum is Poly1305 under a key of its own, which HChaCha20 makes from
 * the spool's key, the segment's epoch and the record's offset; so nothing that
 * is written at another place or time, and no message body, passes for a
 * record.
 */
#ifndef RECORD_H
#define RECORD_H

#include "common/str.h"

enum {
	RECORD_KEY = 32,
	RECORD_TAG = 16,
	RECORD_HEAD = 64,
	RECORD_ALIGN = 8,
	RECORD_BLOCK = 4096 /* batches start at multiples of it */
};

enum record_type {
	RECORD_MESSAGE = 'A',
	RECORD_MARKS = 'M',
	RECORD_REPLACE = 'W',
	RECORD_VOID = 'V'
};

struct record {
	uint64_t epoch, sequence, id;
	enum record_type type;
	uint32_t meta_n, body_n;
};

struct record_tag {
	unsigned char b[RECORD_TAG];
};

/* A checksum of parts under the one-time key of (a, b). */
struct record_tag record_tag_of(const unsigned char key[RECORD_KEY], uint64_t a,
    uint64_t b, const struct str *parts, size_t count);

/* Bytes that a record takes, padding included. */
uint64_t record_span(uint64_t meta_n, uint64_t body_n);
/* Writes the head of r, which will stand at `offset`, for this content (their
 * lengths are r's). */
void record_seal(const unsigned char key[RECORD_KEY], const struct record *r,
    uint64_t offset, struct str meta, struct str body, char head[RECORD_HEAD]);
/* What the bytes at the start of `in` claim to be; nothing is checked but that
 * there are enough.  r->type is 0 when it is no type of a record; *magic tells
 * whether it begins as one. */
void record_peek(struct str in, struct record *r, bool *magic);
/* True when the bytes at the start of `in`, which are no right record, seem to
 * have been one of this life, behind the record `last`: one of the fields may
 * be damaged, but hardly all. */
bool record_claims(struct str in, uint64_t epoch, uint64_t last);
/* Reads the record at the start of `in`, which stands at `offset`.  False: none
 * with a right checksum; *r then holds what a head there claims (type 0: not
 * even a head), nothing that can be trusted. */
bool record_open(const unsigned char key[RECORD_KEY], uint64_t offset,
    struct str in, struct record *r, struct str *meta, struct str *body);

enum segment_use { SEGMENT_USE_FREE = 0, SEGMENT_USE_LIVE = 1 };

struct segment_head {
	enum segment_use use;
	uint32_t number;	 /* counts up with every opening */
	uint64_t epoch;		 /* random, fresh with every opening */
	uint64_t first_sequence; /* of its records */
	uint64_t last_id;	 /* no later id was given before */
};

/* Puts the header, padded to RECORD_BLOCK. */
void segment_seal(const unsigned char key[RECORD_KEY],
    const struct segment_head *, char out[RECORD_BLOCK]);
/* False: no header with a right checksum. */
bool segment_open(
    const unsigned char key[RECORD_KEY], struct str in, struct segment_head *);

#endif
