/* SPDX-License-Identifier: ISC
 * link: a SOCK_SEQPACKET socket in the event loop, to another role or an agent.
 */
#ifndef LINK_H
#define LINK_H

#include "common/loop.h"
#include "common/packet.h"

struct link {
	struct watch watch; /* fd is -1 while the link is down */
	const char *name;
	bool blocked; /* the last send found no room */
	bool paused;  /* link_pause */
	/* One packet; its bytes are gone after the call.  Takes over the
	 * descriptors: what it keeps it sets to -1, the rest is closed.  May
	 * close the link. */
	void (*packet)(struct link *, struct packet *, int *fds, size_t nfds);
	/* There is room to send again.  May be NULL. */
	void (*room)(struct link *);
	/* The peer is gone, and what it said before was read; the link is down
	 * already.  May be NULL. */
	void (*lost)(struct link *);
};

/* A link of that name that is down. */
#define LINK_DOWN(link_name, on_packet, on_room, on_lost)                      \
	{                                                                      \
		.watch = { .fd = -1 }, .name = (link_name),                    \
		.packet = (on_packet), .room = (on_room), .lost = (on_lost)    \
	}

/* Takes over fd (non-blocking); an older one is closed first, without lost().
 * False (logged, fd closed) when it cannot be watched. */
bool link_open(struct link *, int fd);
/* Closes without lost(). */
void link_close(struct link *);
bool link_is_up(const struct link *);
/* Sends a packet with one descriptor (-1: none), which stays open here.  False
 * when there is no room: then the link is blocked, and room() is called later;
 * or when it is down, or its peer gone: then lost() is. */
bool link_send(struct link *, const struct buf *, int fd);
/* The same with nfds (at most PACKET_FDS) descriptors. */
bool link_send_fds(
    struct link *, const struct buf *, const int *fds, size_t nfds);
/* Sends many packets in few system calls.  The number that went; fewer than
 * count as link_send's false. */
enum { LINK_BATCH = 32 };
size_t link_send_many(struct link *, const struct str *, size_t count);
/* Reads nothing more until link_resume, so that the peer finds no room; but a
 * peer that has gone is read to its end all the same.  May be called twice. */
void link_pause(struct link *);
void link_resume(struct link *);
/* Logs a packet that breaks the rules. */
void link_complain(const struct link *, char type);

#endif
