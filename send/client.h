/* SPDX-License-Identifier: ISC
 * client: the SMTP client's side of a dialogue (RFC 5321, 2920, 1870, 6152) as
 * a pure state machine: replies go in, commands and verdicts come out.
 *
 * The caller writes what is put into `out`, reads one reply, hands it in, and
 * does what the action says.  Bytes that arrive before a command that they
 * answer was written are the caller's to notice (client_lost).
 */
#ifndef CLIENT_H
#define CLIENT_H

#include "common/limits.h"
#include "common/verdict.h"
#include "send/reply.h"

enum {
	CLIENT_RECIPIENTS = 100, /* in one transaction */
	CLIENT_OUT = 32 * 1024,	 /* room that `out` must have */
	CLIENT_HOST_MAX = LIMIT_DOMAIN,
	CLIENT_IP_MAX = 46
};

enum client_phase {
	CLIENT_AT_GREETING, /* the phase names the reply that is waited for */
	CLIENT_AT_EHLO,
	CLIENT_AT_HELO,
	CLIENT_AT_IDLE, /* none */
	CLIENT_AT_RSET,
	CLIENT_AT_MAIL,
	CLIENT_AT_RCPT,
	CLIENT_AT_DATA,
	CLIENT_AT_DOT,
	CLIENT_AT_ABORT, /* 354 though nobody may get it: a lone dot was sent */
	CLIENT_AT_QUIT,
	CLIENT_AT_END
};

enum client_action {
	CLIENT_WAIT,  /* write out when it is not empty, then read a reply */
	CLIENT_BODY,  /* write the body and the final dot, then read a reply */
	CLIENT_READY, /* greeted; or the job is done: its verdicts are there */
	CLIENT_CLOSE /* the connection is over: see failure, and the verdicts */
};

enum client_extension {
	CLIENT_PIPELINING = 1,
	CLIENT_SIZE = 2,
	CLIENT_8BITMIME = 4
};

struct client_recipient {
	struct str address; /* borrowed from the job's packet */
	bool accepted;	    /* RCPT was taken */
	bool decided;	    /* verdict and text are set */
	enum verdict verdict;
	struct str text; /* into the client; until the next job */
};

struct client_job {
	struct str sender;  /* canonical; empty for <> */
	uint64_t wire_size; /* with CRLF line ends, without stuffing */
	bool eight_bit;	    /* bytes over 0x7f */
	bool dirty;	    /* a CR or a NUL: RFC 5321 has no form for it */
};

struct client {
	enum client_phase phase;
	struct str host, ip, helo; /* borrowed */
	bool strict7bit;
	unsigned extensions;
	uint64_t peer_size; /* RFC 1870; 0: no limit told */
	unsigned jobs;	    /* done on this connection */
	bool ehlo_first;    /* the next line is EHLO's first: a name */

	struct client_job job;
	struct client_recipient recipients[CLIENT_RECIPIENTS];
	size_t count, at; /* at: whose RCPT is answered next */
	size_t accepted;
	bool pipelined; /* the whole batch was written at once */
	bool mail_taken, answered, strange;
	bool needs_reset; /* RSET before the next MAIL */
	bool body_cut;	  /* see client_body_failed */
	bool stale;	  /* a kept connection ended before any reply to this
			   * job: no verdict was set, try elsewhere */

	bool failed; /* before any job: this host serves nobody */
	enum verdict failure;
	struct str failure_text;
	char group_text[LIMIT_REPORT]; /* also failure_text */
	char texts[CLIENT_RECIPIENTS][LIMIT_REPORT];
};

/* The connection is made; the greeting comes next.  Borrows host, ip, helo. */
void client_init(struct client *, struct str host, struct str ip,
    struct str helo, bool strict7bit);
/* A line of a reply, the last one too, before client_reply. */
void client_line(struct client *, const struct reply *);
/* The reply that phase waits for. */
enum client_action client_reply(
    struct client *, const struct reply *, struct buf *out);
/* The next job; recipients[0..count) hold the addresses, all of them checked
 * (no byte outside RFC 5321's grammar).  READY: decided without a dialogue. */
enum client_action client_start(
    struct client *, const struct client_job *, size_t count, struct buf *out);
/* The body could not be written to its end: only a refusal counts now, and the
 * connection is over afterwards. */
void client_body_failed(struct client *);
/* The connection broke; why: "closed the connection", "timed out" …  Always
 * CLOSE; what was not decided is deferred. */
enum client_action client_lost(struct client *, struct str why);
/* Gives the job up on our side: what is undecided gets verdict and text, the
 * text with its enhanced code.  The connection cannot go on unless phase is
 * still IDLE. */
void client_give_up(struct client *, enum verdict, struct str text);
/* Puts QUIT. */
void client_quit(struct client *, struct buf *out);
/* How long to wait for the reply of this phase, in seconds (RFC 5321
 * 4.5.3.2). */
unsigned client_timeout(const struct client *);
/* What the extension list says; for the log. */
bool client_has(const struct client *, enum client_extension);

#endif
