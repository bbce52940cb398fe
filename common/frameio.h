/* SPDX-License-Identifier: ISC
 * frameio: frames (frame.h) from a non-blocking stream socket.
 */
#ifndef FRAMEIO_H
#define FRAMEIO_H

#include "common/frame.h"

/* Reads what is there into `in`, which keeps what is no whole frame yet (room
 * for one of `most` bytes), and gives each frame to take.  False: the peer is
 * gone, a frame was bad, or take said false. */
bool frameio_read(int fd, struct buf *in, size_t most,
    bool (*take)(char type, struct str payload));

#endif
