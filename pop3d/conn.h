/* SPDX-License-Identifier: ISC
 * conn: the connection to a POP3 client: lines in, replies out.  Replies are
 * gathered and leave when the input is drained (RFC 2449 section 6.6,
 * PIPELINING) or the buffer is full.  No heap.
 */
#ifndef POP3D_CONN_H
#define POP3D_CONN_H

#include "common/buf.h"
#include "pop3d/command.h"

struct conn {
	int in_fd, out_fd;
	int timeout_ms; /* longest silence of the client, longest stop */
	bool blocks;	/* both are sockets with timeouts of their own */
	bool dead;	/* the client cannot be written to: puts do nothing */
	struct pop3_line line;
	char *input;
	size_t input_cap, start, end;
	struct buf out;
};

enum conn_event {
	CONN_LINE,
	CONN_BARE_LF,
	CONN_TOO_LONG, /* a line over the limit was dropped */
	CONN_END,      /* end of file, a broken connection, or dead */
	CONN_TIMEOUT
};

/* Borrows both buffers. */
void conn_init(struct conn *, int in_fd, int out_fd, int timeout_ms,
    char *input, size_t input_cap, char *output, size_t output_cap);
/* Makes the sockets block with a timeout of their own, so that a command costs
 * no poll(2); a timeout that the socket already has is kept and used.  Does
 * nothing where a descriptor is no socket.  Before the sandbox. */
void conn_tune(struct conn *);
/* Puts bytes into the input, as if they had been read; false: no room. */
bool conn_preload(struct conn *, struct str already_read);
/* The next line; *line is a view until the next call.  Flushes the replies when
 * the input holds no whole line.  The timeout is for the line, not for each
 * read. */
enum conn_event conn_line(struct conn *, struct str *line);
/* What is read and not taken yet; a view. */
struct str conn_pending(const struct conn *);
/* The output buffer with room for n bytes (at most its size). */
struct buf *conn_room(struct conn *, size_t n);
/* Puts all of s, flushing as needed. */
void conn_put(struct conn *, struct str s);
/* Sends what is gathered.  0, or -1: the connection is dead. */
int conn_flush(struct conn *);

#endif
