/* SPDX-License-Identifier: ISC
 * messfile: reading and writing the files of mess.h.  Used by queued and by its
 * settle.
 */
#ifndef MESSFILE_H
#define MESSFILE_H

#include "queue/envelope.h"
#include "queue/mess.h"

struct messfile {
	int fd; /* open for reading and writing */
	struct mess_head head;
	struct envelope envelope; /* views into entries */
	char *entries;
	size_t n;      /* bytes of entries that are right */
	uint64_t end;  /* where the next entry goes */
	uint64_t size; /* of the file: more than end when its tail is torn */
};

/* Opens the file of id below dirfd and reads all but its body.  0, or -1 with
 * errno: EBADMSG when it is damaged; the caller closes it when it was 0. */
int messfile_open(int dirfd, const unsigned char key[RECORD_KEY], uint64_t id,
    struct messfile *);
/* The same of the file at `name`, whatever id it has, opened with `flags`.
 * EBADMSG as well when it is no regular file. */
int messfile_open_at(int dirfd, const char *name, int flags,
    const unsigned char key[RECORD_KEY], struct messfile *);
void messfile_close(struct messfile *);
/* Calls each entry behind the envelope, in order; *at begins as 0. */
bool messfile_next(const struct messfile *, const unsigned char key[RECORD_KEY],
    size_t *at, enum mess_entry *, struct str *content);
/* True when the body's checksum is right.  Reads all of it. */
bool messfile_body_ok(
    const struct messfile *, const unsigned char key[RECORD_KEY]);
/* Writes the head of a file that has its body: h with the body's checksum.  Not
 * synced.  0, or -1 with errno. */
int messfile_seal(
    int fd, const unsigned char key[RECORD_KEY], struct mess_head *h);
/* Appends an entry; not synced.  0, or -1 with errno. */
int messfile_append(struct messfile *, const unsigned char key[RECORD_KEY],
    enum mess_entry, struct str content);

/* Writes head, body and envelope of a small message to a new file at `name`
 * below dirfd.  The descriptor, or -1 with errno and no trace left.  Not
 * synced.  *end is where the next entry goes. */
int messfile_write(int dirfd, const char *name,
    const unsigned char key[RECORD_KEY], uint64_t id, struct str meta,
    struct str body, struct messfile *);

#endif
