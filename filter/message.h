/* SPDX-License-Identifier: ISC
 * message: one message while it comes in, and until its program has ended: body
 * and envelope in memfds, sealed before a program gets them.  All messages
 * together take no more than message_limit says.
 */
#ifndef FILTER_MESSAGE_H
#define FILTER_MESSAGE_H

#include "common/arrivals.h"
#include "common/limits.h"
#include "common/str.h"

struct message {
	struct arrival arrival;	  /* first */
	char verdict;		  /* 'K' until something is wrong */
	const char *why;	  /* the text to 'Z' and 'D' */
	int body_fd, envelope_fd; /* -1: none */
	uint64_t size;		  /* of the body */
	uint64_t counted;	  /* what message_limit's sum has of it */
	bool has_sender;
	uint16_t sender_n;
	uint32_t recipient_count;
	size_t recipients_n, recipients_cap;
	char *recipients; /* "T" address NUL, each */
	char sender[LIMIT_ADDRESS];
};

/* memory: bytes of all messages together; body: of one (0: no limit). */
void message_limit(uint64_t memory, uint64_t body);
/* A copy of bytes that belong to no message yet, counted like them, to be given
 * back by message_drop (NULL is fine).  NULL: no memory, or over the limit. */
char *message_keep(struct str);
void message_drop(char *, size_t n);

/* NULL: no memory. */
struct message *message_new(void);
void message_free(struct message *); /* NULL is fine */
/* Makes it one that is refused, unless it is already, and forgets its content.
 */
void message_refuse(struct message *, char verdict, const char *why);
void message_sender(struct message *, struct str);
void message_recipient(struct message *, struct str);
void message_body(struct message *, struct str);
/* It is complete: makes the envelope, seals both.  False: it is refused. */
bool message_close(struct message *);
/* The program has them now: closes both descriptors; what they hold is still
 * counted. */
void message_let_go(struct message *);

#endif
