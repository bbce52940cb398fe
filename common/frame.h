/* SPDX-License-Identifier: ISC
 * frame: the netstring frames of the stream to queued (D. J. Bernstein,
 * Netstrings, 1997): "LENGTH:BYTES,".  The first byte of BYTES is the frame's
 * type.  Pure: no I/O.
 */
#ifndef FRAME_H
#define FRAME_H

#include "common/buf.h"

enum frame_status { FRAME_OK, FRAME_MORE, FRAME_BAD };

/* Reads the frame at the start of `in`.  OK: *type and *payload (a view into
 * in, without the type byte) are set and *used is the frame's whole length.
 * MORE: in is the beginning of a frame of at most max bytes.  BAD: a length
 * over max (type byte included), an empty frame, a leading zero, or no
 * netstring; nothing that follows can be trusted. */
enum frame_status frame_next(
    struct str in, size_t max, char *type, struct str *payload, size_t *used);

/* The same, and moves *in behind a frame that is OK. */
enum frame_status frame_take(
    struct str *in, size_t max, char *type, struct str *payload);

/* Puts a whole frame, or nothing: then the buffer is full. */
void frame_put(struct buf *, char type, struct str payload);

/* Puts only what stands before the payload of n bytes; the caller sends the
 * payload itself and then one ','. */
void frame_head(struct buf *, char type, size_t n);

/* Room that a frame with a payload of n bytes can take at the most. */
#define FRAME_ROOM(n) ((n) + 24)

#endif
