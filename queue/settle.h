/* SPDX-License-Identifier: ISC
 * settle: the child of queued that does every sync but the ring's: it names
 * large messages, makes files of what waits long, updates and removes files,
 * makes and removes segments.  It has the spool directory and one socket to
 * queued (SOCK_SEQPACKET, common/packet.h), in a sandbox of its own.
 *
 *	P u64 id, u64 temporary        mess/tmp/… is complete: sync and name it
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

/* Answered to S when the record cannot be read: another time, perhaps. */
#define SETTLE_UNREADABLE ENODATA

/* Path of temporary file number n below the spool, ended by NUL. */
void settle_tmp_name(uint64_t n, char out[SETTLE_TMP]);
/* Forks settle.  Returns queued's end of the socket (non-blocking); dies when
 * it cannot.  Before the sandbox. */
int settle_start(const struct spool *);

#endif
