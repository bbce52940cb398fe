/* SPDX-License-Identifier: ISC
 * session: the SMTP server's side of a dialogue (RFC 5321), without its I/O.
 * Pure: lines and answers go in, replies and what to do next come out.
 */
#ifndef SMTPD_SESSION_H
#define SMTPD_SESSION_H

#include "common/limits.h"
#include "smtpd/data.h"
#include "smtpd/line.h"

struct session_config {
	struct str me;	     /* control/me */
	struct str greeting; /* behind 220 */
	uint64_t databytes;  /* largest message; 0: any */
};

/* What the caller does now; a reply, if any, is in the buffer. */
enum session_action {
	SESSION_GO_ON,
	SESSION_SENDER,	   /* a transaction began: `address` is its sender */
	SESSION_ASK,	   /* is `address` good?  Then session_answer */
	SESSION_RECIPIENT, /* `address` is one of the recipients */
	SESSION_FORGET,	   /* the transaction that was open is no more */
	SESSION_DATA,	   /* read the message, then session_data_end */
	SESSION_CLOSE,	   /* send what is in the buffer, then close */
	SESSION_QUIT	   /* the same, and the client asked for it */
};

enum session_phase {
	PHASE_NEW = 1,	/* no HELO or EHLO yet */
	PHASE_IDLE = 2, /* no transaction */
	PHASE_MAIL = 4, /* a sender, no recipient accepted */
	PHASE_RCPT = 8	/* and recipients */
};

/* Everything that belongs to one message.  It is zeroed at every outcome. */
struct session_transaction {
	unsigned recipients;
	bool refused; /* a recipient was refused */
};

struct session {
	const struct session_config *config;
	bool relay; /* this client may send to anywhere */
	enum session_phase phase;
	struct session_transaction transaction;
	bool esmtp;		  /* it said EHLO */
	struct buf helo, address; /* canonical; empty is the null path */
	char helo_storage[LIMIT_DOMAIN];
	char address_storage[LIMIT_ADDRESS + 1 + LIMIT_DOMAIN];
	unsigned errors;   /* 5xx since the start or the last message */
	unsigned messages; /* accepted in all; for the log */
};

enum { SESSION_MAX_ERRORS = 50 };

/* Every function below puts at most REPLY_MAX bytes of replies. */

/* Borrows config. */
void session_begin(struct session *, const struct session_config *, bool relay);
void session_greet(const struct session *, struct buf *reply);
/* A command line, without its CRLF. */
enum session_action session_command(
    struct session *, struct str line, struct buf *reply);
/* A line that is none: LINE_TOO_LONG or LINE_BARE_LF. */
enum session_action session_bad_line(
    struct session *, enum line_status, struct buf *reply);
/* After SESSION_ASK: userd's answer K, D, N or Z and its text; any other
 * verdict stands for no answer. */
enum session_action session_answer(
    struct session *, char verdict, struct str text, struct buf *reply);
/* After SESSION_DATA and the final dot: the message's problem or, when it is
 * good, queued's verdict and text (of K: the queue id).  The transaction is
 * over. */
enum session_action session_data_end(struct session *, enum data_problem,
    char verdict, struct str text, struct buf *reply);

enum session_end {
	SESSION_TIMEOUT,   /* the client was silent for too long */
	SESSION_NO_SERVICE /* queued is gone */
};

/* The last words of a session that we end. */
void session_end(const struct session *, enum session_end, struct buf *reply);

#endif
