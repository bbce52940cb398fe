/* SPDX-License-Identifier: ISC
 * handoff: the program that takes the message (postern-queue, or what
 * $QMAILQUEUE names), by qmail-queue's interface: message on descriptor 0,
 * envelope on 1, exit code; and the report line on 3 (INTERNALS.md).
 */
#ifndef HANDOFF_H
#define HANDOFF_H

#include <sys/types.h>
#include "inject/envelope.h"
#include "inject/outcome.h"

struct handoff {
	pid_t pid; /* -1: the message is printed */
	int message_fd, envelope_fd, report_fd;
	bool broken; /* it reads no more: its exit code says why */
};

/* Makes the process, before any sandbox.  It starts the program when the first
 * byte of the message comes, and nothing when that never comes.  0, or -1 with
 * errno. */
int handoff_start(struct handoff *);
/* In place of it: the message goes to standard output. */
void handoff_print(struct handoff *);
/* Bytes of the message.  An error is kept, and told by handoff_finish. */
void handoff_put(struct handoff *, struct str);
/* The message is whole: hands over the envelope and waits for the verdict. */
void handoff_finish(
    struct handoff *, const struct envelope *, struct outcome *);
/* No message after all: the program finds no envelope and queues nothing. */
void handoff_drop(struct handoff *);

/* The exit code and the report line as an outcome.  Pure. */
void handoff_judge(int wait_status, struct str report, struct outcome *);

#endif
