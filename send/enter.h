/* SPDX-License-Identifier: ISC
 * enter: how a process that root has forked becomes a mailbox's owner.  Runs in
 * become's children and in those of local's template, as root until it has.
 */
#ifndef SEND_ENTER_H
#define SEND_ENTER_H

#include <sys/types.h>

/* What can fail on the way. */
enum enter_step {
	ENTER_USER,  /* to change users */
	ENTER_BASE,  /* to open the base directory */
	ENTER_OWNER, /* it is somebody else's */
	ENTER_FDS,   /* to place the descriptors */
	ENTER_EXEC   /* to run the program */
};

/* Becomes uid and gid for good and opens the base directory as that user: home
 * or, when that is empty, what mail_dirfd is.  A descriptor (close-on-exec), or
 * -1 with errno, and *failed says at what. */
int enter_account(uid_t uid, gid_t gid, const char *home, int mail_dirfd,
    enum enter_step *failed);
/* A report's text, which lives for ever; any numbers will do. */
const char *enter_explain(unsigned step, int error);

#endif
