/* SPDX-License-Identifier: ISC
 * mess: the file of a message, mess/ab/ID: a head, the body, and behind it
 * entries that are only ever appended: the envelope, then states and
 * replacements.  Pure.  INTERNALS.md "The spool".
 */
#ifndef MESS_H
#define MESS_H

#include <sodium.h>
#include "queue/record.h"

enum {
	MESS_BODY_AT = 64,
	MESS_ENTRY_HEAD = 32,
	MESS_NAME = 32 /* room for "mess/ab/ID" and its NUL */
};

enum mess_entry {
	MESS_ENVELOPE = 'E',	/* envelope.h; the first entry */
	MESS_STATE = 'S',	/* a bit per recipient: 1 = finished */
	MESS_REPLACEMENT = 'W', /* envelope.h */
	MESS_HOLD = 'H' /* one byte: H held, R released; the last one holds */
};

struct mess_head {
	uint64_t id, nonce, body_n;
	struct record_tag body_tag;
};

/* Path below the spool, ended by NUL.  ab = bits 20-27 of the id, about a
 * second: what is made durable together lies in few directories. */
void mess_name(uint64_t id, char out[MESS_NAME]);
/* The id that a name (the last component) stands for; false: not one. */
bool mess_id(struct str name, uint64_t *id);

/* The head of a file with its checksum; open is false for any other bytes. */
void mess_head_seal(const unsigned char key[RECORD_KEY],
    const struct mess_head *, char out[MESS_BODY_AT]);
bool mess_head_open(
    const unsigned char key[RECORD_KEY], struct str in, struct mess_head *);

/* Checksum of a body, taken bit by bit. */
struct mess_sum {
	crypto_onetimeauth_state state;
};
void mess_sum_begin(
    struct mess_sum *, const unsigned char key[RECORD_KEY], uint64_t nonce);
void mess_sum_add(struct mess_sum *, struct str);
struct record_tag mess_sum_end(struct mess_sum *);
/* Ends the sum: is it the one that the head has for its body? */
bool mess_sum_ok(struct mess_sum *, const struct mess_head *);

/* Where the entries begin. */
uint64_t mess_entries_at(const struct mess_head *);
/* Bytes that an entry takes, padding included. */
uint64_t mess_entry_span(uint64_t n);
/* Puts the head of an entry that will stand at offset; its content follows. */
void mess_entry_seal(const unsigned char key[RECORD_KEY], uint64_t nonce,
    uint64_t offset, enum mess_entry, struct str content,
    char out[MESS_ENTRY_HEAD]);
/* Reads the entry at the start of `in`, which stands at offset.  False: none
 * (the end, or a torn one). */
bool mess_entry_open(const unsigned char key[RECORD_KEY], uint64_t nonce,
    uint64_t offset, struct str in, enum mess_entry *, struct str *content);

#endif
