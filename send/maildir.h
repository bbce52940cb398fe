/* SPDX-License-Identifier: ISC
 * maildir: delivery into Maildirs below one directory, many messages at a time:
 * each is written to tmp/, then all are made durable and published in new/
 * together.  No symbolic link is followed anywhere below the directory.
 *
 * Order of a commit: the data of all files is written out and waited for; then
 * they are renamed into new/; then files and directories are synced (each, or
 * the whole file system when there are many).  So a name in new/ never stands
 * for data that a power cut can take away, and nothing is called done before
 * name and data are both durable.  Directories that were made, maybe by a
 * process before this one, are made durable by the first commit after that.
 */
#ifndef SEND_MAILDIR_H
#define SEND_MAILDIR_H

#include "send/mailname.h"
#include "send/seen.h"

enum {
	MAILDIR_FILES = 256,	   /* in one commit */
	MAILDIR_BOXES = 256,	   /* in one commit */
	MAILDIR_PATH = 768,	   /* of a Maildir below the base */
	MAILDIR_CHUNK = 64 * 1024, /* of a body, read at once */
	MAILDIR_LARGE = 256 * 1024 /* written out as soon as it is copied */
};

struct maildir_box {
	char path[MAILDIR_PATH + 8]; /* with room for "/tmp" */
	size_t path_n;
	int tmp_fd, new_fd,
	    cur_fd; /* cur_fd only once something is looked up */
	uint64_t device;
	bool touched; /* new/ or cur/ has a name to be made durable */
};

struct maildir_file {
	unsigned tag; /* the caller's */
	uint64_t id;
	int fd, error;
	int found_fd; /* directory where it stood already, or -1 */
	struct maildir_box *box;
	bool published;
	char tmp_name[MAILNAME_UNIQUE], name[MAILNAME_MAX];
	uint64_t size;
};

/* A message: size bytes of fd from offset.  chunk is the part from chunk_at
 * that is in memory; start with chunk_n = 0. */
struct maildir_body {
	int fd;
	uint64_t offset, size, chunk_at;
	size_t chunk_n;
};

struct maildir {
	int base_fd; /* borrowed */
	char host[MAILNAME_HOST];
	size_t host_n;
	size_t file_count, box_count;
	unsigned opened;		   /* boxes, ever */
	const struct maildir_body *loaded; /* whose piece is in space */
	bool made;	/* directories that no syncfs covers yet */
	bool part_made; /* a Maildir was made, but not in full */
	struct maildir_file files[MAILDIR_FILES];
	struct maildir_box boxes[MAILDIR_BOXES];
	struct seen seen; /* of the box below */
	char seen_path[MAILDIR_PATH + 8];
	size_t seen_path_n;
	char names[32 * 1024];			   /* for getdents64 */
	char space[MAILNAME_HEAD + MAILDIR_CHUNK]; /* head and body, to write */
};

struct maildir_message {
	uint64_t id;
	struct str sender, recipient;
	struct maildir_body *body;
	bool search; /* may be there already: look before writing */
};

/* Before the first use.  host is escaped for names. */
void maildir_init(struct maildir *, int base_fd, struct str host);
/* Makes sure that the piece of the body from `at` (at most MAILDIR_CHUNK) is
 * in memory: a view of it, empty at the end; p NULL: error, errno set (ENODATA
 * when the file is shorter than was said). */
struct str maildir_load(struct maildir *, struct maildir_body *, uint64_t at);
/* No more may be added before a commit. */
bool maildir_is_full(const struct maildir *);
/* The same message for the same Maildir was added already: commit first. */
bool maildir_is_pending(
    const struct maildir *, struct str path, const struct maildir_message *);
/* Writes a message to tmp/ of the Maildir `path` (made if missing; the caller
 * has checked that it is plain), or finds that it has been delivered.  0, or -1
 * with errno: nothing was added. */
int maildir_add(struct maildir *, struct str path,
    const struct maildir_message *, unsigned tag);
/* Makes all that was added durable and published, calls
 * done(arg, tag, error) for each (error 0: it is in the Maildir and durable;
 * else an errno: it is not there), and forgets them. */
void maildir_commit(struct maildir *,
    void (*done)(void *arg, unsigned tag, int error), void *arg);
/* What to report for an errno of the above: a text with an enhanced code; all
 * of them are temporary. */
const char *maildir_text(int error);

/* ---- of maildir_box.c, for maildir.c only ---- */

/* The box for path, opened (and made) when it is not open yet.  NULL, errno. */
struct maildir_box *maildir_box_open(struct maildir *, struct str path);
void maildir_box_close(struct maildir_box *);
/* Looks for a name with this unique part in new/ and cur/: 1 and the directory
 * and name, 0, or -1 with errno. */
int maildir_box_find(struct maildir *, struct maildir_box *, struct str unique,
    int *dir_fd, struct buf *name);
/* Remembers a delivery for maildir_box_find. */
void maildir_box_delivered(
    struct maildir *, const struct maildir_box *, struct str name);

#endif
