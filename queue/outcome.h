/* SPDX-License-Identifier: ISC
 * outcome: what the parts of delivery (delivery.c, outcome.c, working.c,
 * orders.c) share.  Part of qmgr.
 */
#ifndef OUTCOME_H
#define OUTCOME_H

#include "common/log.h"
#include "queue/delivery.h"

/* The first tick (due.h) at which it is `when`, in seconds since 1970. */
uint32_t delivery_tick(int64_t when);
/* Logs what happened to a recipient, with everything that leads to it. */
void delivery_log(enum log_level, const char *event, const struct rcpt *,
    struct str text, struct str host);
/* It leaves its place in line (state QUEUED), for another state that the caller
 * sets; delivery_let_go finds it there. */
void delivery_leave_line(uint32_t rcpt);
/* The message's first failure since its last bounce, at now (ms): it is bounced
 * some seconds later even when other results are still out. */
void delivery_group(uint32_t message, int64_t now);

#endif
