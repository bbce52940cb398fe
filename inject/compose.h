/* SPDX-License-Identifier: ISC
 * compose: completes and cleans the header of a message that a local program
 * hands in (RFC 5322 3.6, RFC 6409 8, qmail-inject's habits), and finds its
 * recipients.  Pure.
 *
 * Missing From, Date, Message-ID (and Resent- ones, when there is one), Sender
 * and MIME fields are added; Bcc, Return-Path, Content-Length, Apparently-To
 * and fields without any address are left out; addresses get a whole domain,
 * and raw 8-bit text becomes encoded words.  All else stays as it is.
 */
#ifndef COMPOSE_H
#define COMPOSE_H

#include "inject/addrlist.h"
#include "inject/field.h"

enum {
	COMPOSE_IN = 256 * 1024, /* largest header */
	COMPOSE_OUT = 1024 * 1024
};

struct compose_request {
	struct addr_defaults defaults;
	struct str id_host;   /* behind the @ of a Message-ID */
	struct str from;      /* of a From that is missing, canonical */
	struct str from_name; /* its display name; may be empty */
	int64_t now_us;	      /* wall clock */
	uint64_t pid;
	bool recipients;      /* take them from the header */
	bool drop_from;	      /* write From anew */
	bool drop_message_id; /* and Message-ID */
	bool name_in_comment; /* From: address (name) */
};

/* What the header says before anything is decided. */
struct compose_survey {
	bool mime;	   /* MIME fields are there: leave the body alone */
	bool resent;	   /* a set of Resent- fields, the newest one ... */
	size_t resent_end; /* ... ends before the field of this number */
	bool seen[FIELD_KINDS]; /* with content; Resent-: in that set */
};

struct compose_mime {
	bool add;	     /* the fields are needed */
	const char *charset; /* of the text */
};

struct compose {
	/* set by the caller */
	const struct compose_request *request;
	const struct compose_survey *survey;
	struct compose_mime mime;
	struct buf *out;
	void (*each)(void *arg, struct str recipient); /* canonical */
	/* what Return-Path says; may be empty.  NULL: nobody wants it */
	void (*return_path)(void *arg, struct str address);
	void *arg;

	/* set by compose_run when it fails */
	const char *problem;
	struct str field, at; /* views into the header */

	/* its own */
	struct addrlist list;
	unsigned authors;
	bool put[FIELD_KINDS]; /* stands in the new header */
};

void compose_survey(struct str header, struct compose_survey *);
/* Puts the whole header and the empty line behind it.  False: problem says
 * why; what was put is of no use.  `out` is full when it is too small. */
bool compose_run(struct compose *, struct str header);

#endif
