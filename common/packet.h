/* SPDX-License-Identifier: ISC
 * packet: the messages of SOCK_SEQPACKET sockets (ask, job, note, link).  First
 * byte the type, then fields in a fixed order: big-endian integers, and byte
 * strings with a 32-bit length in front.  No C structs on the wire.
 */
#ifndef PACKET_H
#define PACKET_H

#include "common/buf.h"

enum {
	PACKET_MAX = 32 * 1024, /* what is larger travels as a descriptor */
	PACKET_FDS = 4		/* descriptors in one packet, at the most */
};

/* ---- writing: into a buf of PACKET_MAX; check `full` once, at the end ---- */
void packet_begin(struct buf *, char type); /* empties it first */
void packet_u8(struct buf *, uint8_t v);
void packet_u32(struct buf *, uint32_t v);
void packet_u64(struct buf *, uint64_t v);
void packet_str(struct buf *, struct str s);

/* ---- reading: a cursor with a sticky error ---- */
struct packet {
	char type;
	struct str rest; /* what is not read yet */
	bool bad;	 /* a field was cut short or over its limit */
};

/* Opens the bytes of one packet for reading; bad when it is empty. */
struct packet packet_open(struct str bytes);
/* Each returns 0 or the empty str when bad. */
uint8_t packet_get_u8(struct packet *);
uint32_t packet_get_u32(struct packet *);
uint64_t packet_get_u64(struct packet *);
/* A view into the packet's bytes; over max it is bad. */
struct str packet_get_str(struct packet *, size_t max);
/* True when nothing was bad and nothing is left over. */
bool packet_end(const struct packet *);

/* ---- sockets ---- */
/* Sends one packet with nfds descriptors (they stay open here).  0, or -1 with
 * errno; EAGAIN when the peer's queue is full (MSG_DONTWAIT is always set) or
 * the kernel has no memory now, EPIPE when it is gone.  Never raises SIGPIPE.
 */
int packet_send(int fd, struct str bytes, const int *fds, size_t nfds);

/* Receives one packet into storage of cap bytes; the bytes come back in *bytes,
 * descriptors (close-on-exec) in fds, which has room for PACKET_FDS, their
 * number in *nfds; the caller owns them.  1; 0 at the end of the peer; -1 with
 * errno: EAGAIN (or no memory now), or EMSGSIZE for a packet larger than cap
 * (it is consumed and its descriptors are closed).  flags: 0 or MSG_DONTWAIT.
 */
int packet_recv(int fd, char *storage, size_t cap, int flags, struct str *bytes,
    int *fds, size_t *nfds);

/* Closes n descriptors and sets them to -1. */
void packet_close_fds(int *fds, size_t n);

/* One question and its answer on a blocking socket, with a deadline of
 * timeout_ms.  As packet_recv, and -1 with ETIMEDOUT. */
int packet_ask(int fd, struct str question, const int *fds, size_t nfds,
    char *storage, size_t cap, int timeout_ms, struct str *answer);

#endif
