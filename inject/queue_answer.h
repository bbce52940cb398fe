/* SPDX-License-Identifier: ISC
 * queue_answer: what queued answers to postern-queue.
 */
#ifndef QUEUE_ANSWER_H
#define QUEUE_ANSWER_H

#include "common/buf.h"
#include "inject/queue_exit.h"

/* Reads the answer from the non-blocking socket fd into *in; *text is a view
 * into it.  0, or -1 with errno: ETIMEDOUT; EPIPE, queued is gone; EPROTO, that
 * is no answer. */
int queue_answer(int fd, int64_t deadline_ms, struct buf *in, char *verdict,
    struct str *text);
/* The exit code that says the same. */
enum queue_exit queue_answer_code(char verdict, struct str text);

#endif
