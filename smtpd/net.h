/* SPDX-License-Identifier: ISC
 * net: the client's connection: buffered input and output with deadlines. Works
 * on a socket, and on pipes or a terminal.
 */
#ifndef SMTPD_NET_H
#define SMTPD_NET_H

#include "common/buf.h"

enum { NET_INPUT = 64 * 1024, NET_OUTPUT = 8 * 1024 };

enum net_status {
	NET_OK,
	NET_END,    /* the client closed, or the connection broke */
	NET_TIMEOUT /* past the deadline */
};

struct net {
	int in, out;
	bool timed; /* the kernel times reads (SO_RCVTIMEO) */
	int timeout_ms;
	int64_t deadline; /* clock_mono_ms */
	size_t taken;	  /* bytes of input that are done with */
	struct buf input;
	struct buf output; /* replies not sent yet; the caller puts them */
	char output_storage[NET_OUTPUT];
	char input_storage[NET_INPUT];
};

/* Borrows both descriptors; timeout_ms is how long the client may stay silent.
 * Touches no page of the buffers. */
void net_begin(struct net *, int in, int out, int timeout_ms);
/* The deadline is timeout_ms from now. */
void net_renew(struct net *);
/* The deadline is no later than this time (clock_mono_ms). */
void net_limit(struct net *, int64_t latest);
/* What has come and is not taken yet; valid until the next net_fill. */
struct str net_input(const struct net *);
void net_take(struct net *, size_t n);
/* Sends the output, then waits for more input.  There must be less than a full
 * buffer of it. */
enum net_status net_fill(struct net *);
/* Sends the output, waiting for at most timeout_ms in all. */
enum net_status net_flush(struct net *);
/* Sends the output and says that no more comes; reads what the client has sent
 * already, so that the last reply is not lost to a reset (RFC 1122 4.2.2.13).
 */
void net_finish(struct net *);

#endif
