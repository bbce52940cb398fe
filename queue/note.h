/* SPDX-License-Identifier: ISC
 * note: what qmgr is told of a message, and the descriptor of its body.
 */
#ifndef NOTE_H
#define NOTE_H

#include "queue/draft.h"
#include "queue/messfile.h"
#include "queue/noteflags.h"

enum { NOTE_HEAD = 512 /* more than an N takes without its recipients */ };

struct note {
	const struct ledger_entry *e;
	struct envelope env;
	struct str body;       /* of one that has no file */
	uint64_t offset, size; /* of the body in its descriptor */
	bool has_file;
	const unsigned char *key; /* borrowed */
	struct messfile file;
};

/* From memory.  False: it has no right envelope (our bug). */
bool note_of_draft(const struct spool *, const struct draft *, struct note *);
/* From the disk.  0: note_close it; -1 with errno, EBADMSG for damage.  Views
 * into it live until the next one. */
int note_load(const struct spool *, const struct ledger_entry *, struct note *);
void note_close(struct note *);
/* Puts the packet that tells of the unfinished recipients from number *idx on:
 * N when that is 0, else n.  *more: not all had room, *idx is the next one
 * then. False: there is none. */
bool note_put(const struct note *, struct buf *, uint32_t *idx, bool *more);
/* Puts the packet n that tells of the recipients that a replacement brought,
 * from its *told-th on; *told is the next one then.  False: there is none. */
bool note_put_new(
    uint64_t id, const struct replacement *, struct buf *, uint32_t *told);
/* A new descriptor of the body, read-only or sealed; -1 with errno. */
int note_body(const struct spool *, const struct note *);
/* Puts the answer to `O` of id: o.  A new descriptor of the body to go with it,
 * or -1: then the answer says why. */
int note_answer(struct spool *, uint64_t id, struct buf *);

#endif
