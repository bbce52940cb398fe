/* SPDX-License-Identifier: ISC
 * dropfile: what stands in a file of the drop box: the frames that
 * postern-queue would have sent to queued, between a `Q` that says the format
 * and the writer's user id, and a `C` that ends it.  Pure.
 */
#ifndef DROPFILE_H
#define DROPFILE_H

#include "common/frame.h"

enum { DROPFILE_VERSION = 1 };

enum dropfile_status {
	DROPFILE_FRAME, /* *frame is whole, and right: to be sent on */
	DROPFILE_MORE,
	DROPFILE_END, /* the frame C; the file must end here */
	DROPFILE_BAD
};

struct dropfile {
	bool begun;	/* Q was read */
	bool envelope;	/* F was read: no body after it */
	uint32_t uid;	/* as Q says */
	uint32_t paths; /* recipients */
};

/* Puts the frame that begins a file. */
void dropfile_put_head(struct buf *payload, uint32_t uid);
/* Reads the frame at the start of `in`; a zeroed struct begins.  FRAME: *frame
 * is its bytes as they stand (for Q, which is for the reader alone, empty), and
 * *used its length.  END: *used is set. */
enum dropfile_status dropfile_next(
    struct dropfile *, struct str in, struct str *frame, size_t *used);

#endif
