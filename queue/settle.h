/* SPDX-License-Identifier: ISC
 * settle: the children of queued that do every sync but the ring's.  One makes
 * files of what waits long, updates and removes files, makes and removes
 * segments; the others take the checksums of large messages, whose sender
 * waits, and name them.  Each has the spool directory and one socket to queued
 * (SOCK_SEQPACKET, common/packet.h), in a sandbox of its own.
 *
 *	P u64 id, u64 temporary, u64 size, u64 nonce
 *				       mess/tmp/… is complete but for its head:
 *				       write that, sync and name it
 *	S u64 id, u32 file, u64 epoch, u32 offset, u32 meta, u32 body,
 *	  str state, u8 hold, n × {str} make a file of this record
 *	A u64 id, str state, u8 hold, n × {str} append state, replacements and
 *				       hold (H held, R released, 0: never was)
 *	R u64 id                       remove its file
 *	G u64 file, u64 size           make a segment
 *	U u64 file, u64 keep           remove a segment (keep: to quarantine/)
 *
 * Each is answered `K` u8 type, u64 id or file, u32 errno (0: it is durable).
 */
#ifndef SETTLE_H
#define SETTLE_H

#include "queue/spool.h"

enum settle_type {
	SETTLE_PUBLISH = 'P',
	SETTLE_MAKE = 'S',
	SETTLE_APPEND = 'A',
	SETTLE_REMOVE = 'R',
	SETTLE_SEGMENT = 'G',
	SETTLE_UNSEGMENT = 'U'
};

enum { SETTLE_TMP = 40 };

enum {
	SETTLE_TENDS = 0, /* this one does all but P */
	SETTLE_PROCESSES = 5
};

/* Answered to S when the record cannot be read: another time, perhaps. */
#define SETTLE_UNREADABLE ENODATA

/* Path of temporary file number n below the spool, ended by NUL. */
void settle_tmp_name(uint64_t n, char out[SETTLE_TMP]);
/* Forks them, before the sandbox.  fds: queued's ends of their sockets
 * (non-blocking); dies when it cannot. */
void settle_start(const struct spool *, int fds[SETTLE_PROCESSES]);

#endif
