/* SPDX-License-Identifier: ISC
 * boxfiles: the files of the drop box as pickup sees them: found in new/, moved
 * to work/ under a key of pickup's own, where nobody else can change a name,
 * and from there removed, or put into bad/.  INTERNALS.md "The drop box".
 */
#ifndef BOXFILES_H
#define BOXFILES_H

#include "common/str.h"

enum {
	BOXFILES_BATCH = 64, /* taken from new/ at a time */
	BOXFILES_MAX = 1024  /* in work/: more than are ever there */
};

enum boxfile_state {
	BOXFILE_WAITS,
	BOXFILE_SENT,	 /* no answer yet */
	BOXFILE_TAKEN,	 /* it is in the queue */
	BOXFILE_REFUSED, /* for good */
	BOXFILE_BAD	 /* no message */
};

struct boxfile {
	uint64_t key; /* random: no other file ever has it */
	uint32_t uid;
	enum boxfile_state state;
};

struct boxfiles {
	size_t count;
	struct boxfile file[BOXFILES_MAX];
};

/* Opens the folders below dirfd, and makes work/ and bad/.  Dies. */
void boxfiles_open(int dirfd);
/* A descriptor that can be read when a file has come to new/.  Before the
 * sandbox.  Dies. */
int boxfiles_watch(void);
/* Lists work/: all of it.  0, or -1 (logged). */
int boxfiles_list(struct boxfiles *);
/* Moves whole files from new/ to work/, BOXFILES_BATCH at the most, and adds
 * them; their new names are durable.  What is no message goes to bad/.  With
 * `sweep` what writers left that died is removed.  The number added; -1
 * (logged): another time. */
int boxfiles_take(struct boxfiles *, bool sweep);
/* Opens a file in work/ for reading; *size is all that may be read of it.
 * -1 with errno: EBADF, it is no message of that user; ENOMEM, ENFILE, EMFILE:
 * another time. */
int boxfiles_read(const struct boxfile *, uint64_t *size);
/* Removes those that are TAKEN, puts those that are REFUSED or BAD into bad/,
 * and makes that durable.  They stay in the list.  Dies (111) when that cannot
 * be: the next pickup goes on from what is there. */
void boxfiles_end(const struct boxfiles *);

/* May a line about a file that is no message be logged?  Whoever puts nonsense
 * there as fast as he can is not to fill the disk with our log. */
bool boxfiles_may_say(void);

#endif
