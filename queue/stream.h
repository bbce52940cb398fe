/* SPDX-License-Identifier: ISC
 * stream: the sessions that bring mail (INTERNALS.md "Stream").
 */
#ifndef STREAM_H
#define STREAM_H

#include "common/facts.h"
#include "queue/session.h"

struct stream;

struct stream_limits {
	struct session_limits session;
	size_t memory; /* above it nobody starts a new message */
};

/* listen_fd: run/queue. */
void stream_init(struct spool *, int listen_fd, const struct stream_limits *);
/* Borrows what the limits point to until the next call. */
void stream_set_limits(const struct stream_limits *);
/* Serves a session that listen announced; takes fd over. */
void stream_serve(int fd, const struct facts *);
/* The links to bounce and pickup. */
void stream_bounce_link(int fd);
void stream_pickup_link(int fd);
/* Puts an answer to a message behind those that wait; *s may be gone. */
void stream_answer(struct stream *, char verdict, struct str text);
/* The draft of this stream is no more. */
void stream_draft_done(struct stream *);
/* At a stop, again and again until it is true: nobody at run/queue is at work,
 * those included who connected before it went. */
bool stream_finish(void);
/* Sends the answers, and lets those go on who waited for memory.  ms until it
 * must run again, -1: nothing to wait for. */
int stream_run(void);

#endif
