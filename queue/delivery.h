/* SPDX-License-Identifier: ISC
 * delivery: the life of a recipient in qmgr, from due to done.  Every module of
 * qmgr reports here, and what follows from a report is decided here.
 */
#ifndef DELIVERY_H
#define DELIVERY_H

#include "common/packet.h"
#include "queue/destination.h"
#include "queue/index.h"

struct agent;

enum {
	DEPTH_MAX = 20,	    /* aliases and forwards in a row */
	REPLACED_MAX = 1000 /* and for one message in all */
};

struct delivery_totals {
	uint64_t arrived, delivered, deferred, failed, bounced;
	uint64_t minute_arrived, minute_delivered, minute_deferred,
	    minute_failed;
};

/* Loads queuelifetime, domains and routes; all or nothing.  0, or -1 (logged).
 */
int delivery_load(int control_dirfd);
/* Scheduling may begin: every NEW recipient is due. */
void delivery_open(void);
bool delivery_is_open(void);

/* Starts an attempt of a recipient that is NEW or has just left the heap. */
void delivery_start(uint32_t rcpt);
/* Starts some of what is due.  Ticks until it wants to be called again; -1:
 * nothing waits. */
int64_t delivery_due(void);
/* userd's answer: here, for user (empty: the mailbox owner). */
void delivery_local(uint32_t rcpt, struct str user, struct str target);
/* To its MX, or where a route says. */
void delivery_remote(uint32_t rcpt);
/* The destination that mail for the domain goes to; NULL: it is too long. */
struct destination *delivery_destination(struct str domain);
/* Alias or forward: the count targets in *targets (from their packet) take the
 * place of the recipient.  agent: who is acknowledged, or NULL. */
void delivery_replace(
    uint32_t rcpt, uint32_t count, struct packet *targets, struct agent *agent);
/* queued's answer to that. */
void delivery_replaced(uint32_t rcpt, char verdict, struct str text);

/* What is reported next took an agent so long: for its log line. */
void delivery_took(int64_t ms);
/* A verdict after an attempt; host may be empty; agent: who reported K, to be
 * acknowledged when the mark is durable, or NULL. */
void delivery_report(uint32_t rcpt, char verdict, struct str text,
    struct str host, struct agent *agent);
/* Every lot that waits for the destination gets this verdict. */
void delivery_report_all(struct destination *, char verdict, struct str text);
/* Its channel is stopped: the recipient waits until that is opened again. */
void delivery_await_order(uint32_t rcpt, bool remote);
/* The same for all that waits in the destination's queue. */
void delivery_stop(struct destination *);
/* The channel is open again: all that waited for it is due now. */
void delivery_go_on(enum schedule_channel);
/* Is this recipient of a lot still to be delivered?  One that was removed while
 * the lot waited is let go. */
bool delivery_in_lot(uint32_t rcpt);
/* Lets go those that were removed, or held, while they waited in line. */
void delivery_let_go(void);
/* No attempt was made: again after so many seconds. */
void delivery_postpone(uint32_t rcpt, int64_t seconds, struct str text);
/* The mark is durable: nothing left to do. */
void delivery_finished(uint32_t rcpt);
/* Gives a recipient up without a bounce: state MARKING. */
void delivery_drop(uint32_t rcpt, const char *event);
/* What an order did, or would do. */
enum delivery_obeyed {
	OBEYED,
	OBEYED_LATER, /* it is with an agent: when that one is done */
	OBEYED_NOT    /* there is nothing to do */
};
/* What the order `verb` (d delete, r retry, b bounce) would do now. */
enum delivery_obeyed delivery_would_obey(uint32_t rcpt, char verb);
/* Takes a waiting recipient, or one that is held after crashes, to an attempt
 * now.  False: it is under way already, or an administrator holds it. */
bool delivery_retry(uint32_t rcpt);
/* Wants it gone.  OBEYED: the mark is on its way; LATER: it is with an agent,
 * and goes when that one reports, unless it was delivered. */
enum delivery_obeyed delivery_delete(uint32_t rcpt);
/* Holds the message (hold), also over restarts, or releases it, also after
 * crashes; dry: only counts.  Adds to *rcpts those that this concerns and to
 * *flying those that are being tried now.  False: it is so already.  Call
 * delivery_let_go before anything else is started. */
bool delivery_hold(
    uint32_t message, bool hold, bool dry, uint32_t *rcpts, uint32_t *flying);
/* Takes it out of wherever it waits (OBEYED: state HELD), so that, after
 * delivery_let_go, delivery_give_up can have it bounced with this text. */
enum delivery_obeyed delivery_pull(uint32_t rcpt);
void delivery_give_up(uint32_t rcpt, struct str text);
/* After a crash: the third agent that dies with a message has it held. */
void delivery_crashed(uint32_t message);

/* Looks again, before the next wait, whether the message is at rest. */
void delivery_settle(uint32_t message);
/* Does that, for all that were named; bounces that waited long enough. */
void delivery_settle_all(void);
/* Is there a bounce that waits for other results? */
bool delivery_grouping(void);

/* When the next attempt is, in seconds since 1970 (WAITING); 0: not known. */
int64_t delivery_when(const struct rcpt *);
int64_t delivery_lifetime(void);
const struct delivery_totals *delivery_totals(void);
void delivery_count_bounce(void);
/* A message that queued has just taken. */
void delivery_count_arrival(void);
/* Closes and opens bodies: at most so many are kept open. */
void delivery_body_limit(uint32_t most);
/* Keeps fd as the message's body when there is room for it, or if must; false
 * when it was closed. */
bool delivery_body_keep(uint32_t message, int fd, bool must);

#endif
