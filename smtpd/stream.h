/* SPDX-License-Identifier: ISC
 * stream: messages to queued, as frames (INTERNALS.md "Stream").  What belongs
 * to a small message leaves in one write.
 */
#ifndef SMTPD_STREAM_H
#define SMTPD_STREAM_H

#include "common/facts.h"
#include "common/frame.h"

enum {
	STREAM_PAYLOAD = LIMIT_FRAME - 1, /* body bytes in a frame */
	STREAM_FRAMES = 4,
	STREAM_BODY = STREAM_FRAMES * STREAM_PAYLOAD,
	/* small: the body that follows it begins on the same page */
	STREAM_ENVELOPE = 2048,
	STREAM_ANSWER = LIMIT_REPLY_TEXT + 64
};

struct stream {
	int fd;
	bool sent;	     /* frames of the open message have left */
	struct buf envelope; /* frames not sent yet, ahead of the body */
	struct buf body;     /* the caller puts body bytes here */
	char answer[STREAM_ANSWER];
	char envelope_storage[STREAM_ENVELOPE];
	char body_storage[STREAM_BODY];
};

/* Borrows fd.  Touches no page of the buffers. */
void stream_begin(struct stream *, int fd);

/* Each returns 0, or -1 when queued is gone or does not answer: then nothing of
 * the open message counts, and the stream is of no more use. */

/* Once, as the first frame of a socket that was connected by path. */
int stream_facts(struct stream *, const struct facts *);
int stream_sender(struct stream *, struct str address);
int stream_recipient(struct stream *, struct str address);
/* Sends all that waits, so that the body has room again. */
int stream_flush(struct stream *);
/* Sends all that waits and the commit, and waits for the verdict (K, Z or D).
 * The text (of K: the id, or nothing) is valid until the next call. */
int stream_commit(struct stream *, char *verdict, struct str *text);
/* Drops the open message. */
int stream_forget(struct stream *);

#endif
