/* SPDX-License-Identifier: ISC
 * maildrop: a Maildir as POP3 sees it (RFC 1939 sections 4 to 6): messages
 * numbered in order of delivery, locked against other POP3 sessions, deleted
 * only in UPDATE.
 *
 * Deliveries and other readers go on meanwhile.  What comes later is not seen;
 * a message that a reader moves from new/ to cur/, or whose flags it changes,
 * is found again by the unique part of its name; one that is removed is gone.
 */
#ifndef POP3D_MAILDROP_H
#define POP3D_MAILDROP_H

#include "common/buf.h"

enum { MAILDROP_MESSAGES_MAX = 1000000, MAILDROP_SCRATCH = 64 * 1024 };

enum maildrop_folder { MAILDROP_NEW, MAILDROP_CUR };

struct maildrop_message {
	uint64_t time;	 /* of delivery, from the name */
	uint64_t octets; /* as RETR sends it; MAILDROP_UNKNOWN */
	uint32_t name;	 /* offset of the file name */
	uint8_t name_n, unique_n;
	uint8_t folder;
	bool deleted : 1, retrieved : 1, gone : 1, seen : 1, twin : 1;
};

#define MAILDROP_UNKNOWN UINT64_MAX

/* Grows in place within reserved address space. */
struct maildrop_arena {
	char *p;
	size_t n, committed, reserved;
};

struct maildrop {
	int dirfd, folder_fd[2];
	int lock_fd;
	struct maildrop_arena records, names, order;
	struct maildrop_message *messages;
	uint32_t count;
	char *scratch; /* MAILDROP_SCRATCH bytes, the caller's */
};

enum maildrop_status {
	MAILDROP_OK,
	MAILDROP_IN_USE,   /* another session has it */
	MAILDROP_TOO_MANY, /* over MAILDROP_MESSAGES_MAX */
	MAILDROP_FAILED	   /* errno says why */
};

/* Reserves address space (no memory yet), borrows the scratch space, catches
 * SIGALRM (for maildrop_open alone).  Before the sandbox.  0, or -1 with errno.
 */
int maildrop_reserve(struct maildrop *, char *scratch);
/* Opens path below base for the maildrop; with `create`, what is missing of it
 * is made, and no symbolic link is followed.  The descriptor, or -1 with errno
 * (EINVAL: a path that is absolute or holds `..`). */
int maildrop_find(int base_fd, struct str path, bool create);
/* Locks the Maildir dirfd, which it keeps (another session has two seconds to
 * end), and reads new/ and cur/.  Missing
 * folders are made with `create`.  On MAILDROP_FAILED *what names the step. */
enum maildrop_status maildrop_open(
    struct maildrop *, int dirfd, bool create, const char **what);

/* Messages are numbered from 0 here. */

/* Neither marked as deleted nor gone. */
bool maildrop_has(const struct maildrop *, uint32_t i);
/* Octets as RETR sends them, from the name or by reading the file.  False when
 * the message is gone or cannot be read. */
bool maildrop_octets(struct maildrop *, uint32_t i, uint64_t *octets);
/* What a RETR has really sent: from now on the size. */
void maildrop_correct(struct maildrop *, uint32_t i, uint64_t octets);
/* The octets of the file as its name states them; false when it does not. */
bool maildrop_stated(const struct maildrop *, uint32_t i, uint64_t *octets);
void maildrop_put_uid(const struct maildrop *, uint32_t i, struct buf *);
/* A descriptor for reading, the caller's; -1 with errno. */
int maildrop_message(struct maildrop *, uint32_t i);
void maildrop_delete(struct maildrop *, uint32_t i);
void maildrop_retrieved(struct maildrop *, uint32_t i);
/* RSET: no message is deleted. */
void maildrop_reset(struct maildrop *);

struct maildrop_result {
	uint32_t deleted, moved, failed;
	int error; /* of the last failure */
};

/* UPDATE: removes what is marked as deleted, moves what was retrieved and is
 * still in new/ to cur/ as seen, and makes the removals durable.  `failed`
 * counts messages that are still there. */
struct maildrop_result maildrop_update(struct maildrop *);
/* Lets the next session in. */
void maildrop_unlock(struct maildrop *);

#endif
