/* SPDX-License-Identifier: ISC
 * conn: the connection to a stranger's server: whole writes, whole replies,
 * each with a deadline.
 */
#ifndef CONN_H
#define CONN_H

#include "send/client.h"

enum { CONN_BYTES = 16 * 1024 };

struct conn {
	int fd; /* -1: closed */
	/* Another descriptor (-1: none) that is served during every wait. */
	const int *other;
	void (*on_other)(void);
	/* A socket (NULL: none) whose half-closing ends every wait. */
	const int *leave;
	unsigned timeout_cap; /* seconds; no wait is longer */
	size_t at, n;	      /* of bytes: what is not taken yet */
	char bytes[CONN_BYTES];
};

/* True when bytes of the server wait that answer nothing. */
bool conn_has_unread(const struct conn *);
/* 0, or -1: broken, or not taken in time. */
int conn_write(struct conn *, struct str);
/* Reads one whole reply into r, and shows client each of its lines.  NULL, or
 * what became of it, as client_lost wants it. */
const char *conn_read(
    struct conn *, struct client *, struct reply *r, unsigned seconds);

#endif
