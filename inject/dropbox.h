/* SPDX-License-Identifier: ISC
 * dropbox: how postern-queue writes a message into the drop box while the suite
 * is stopped: to a temporary name, synced, renamed, the folder synced.
 * INTERNALS.md "The drop box".
 */
#ifndef DROPBOX_H
#define DROPBOX_H

#include "inject/dropname.h"

struct dropbox {
	int dirfd; /* the folder */
	int fd;	   /* the temporary file; -1: none */
	struct dropname name;
	uint64_t messages, bytes; /* the user's quota */
};

/* Opens the folder.  0, or -1 with errno. */
int dropbox_open(struct dropbox *, uint64_t messages, uint64_t bytes);
/* Makes a temporary file in a slot of this user's that is free.  0, or -1 with
 * errno: EDQUOT when there is none, or too many bytes are there. */
int dropbox_begin(struct dropbox *);
/* 0, or -1 with EDQUOT: this user's files hold too much by now. */
int dropbox_check(const struct dropbox *);
/* The most that the file may ever hold, for RLIMIT_FSIZE: no more than that is
 * already, for none but root can raise it. */
uint64_t dropbox_limit(const struct dropbox *);
/* Makes what was written durable, and its name.  0, or -1 with errno: nothing
 * is left, unless the folder's sync failed: pickup may have it. */
int dropbox_publish(struct dropbox *);
/* What to tell the caller about an error of the above; NULL: what errno says.
 */
const char *dropbox_why(int error);
/* Removes what was begun, if anything was. */
void dropbox_discard(struct dropbox *);

#endif
