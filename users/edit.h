/* SPDX-License-Identifier: ISC
 * edit: changes one of userd's tables from the command line: under a lock,
 * whole or not at all, with comments, order, owner and mode kept; then userd is
 * told.
 */
#ifndef USERS_EDIT_H
#define USERS_EDIT_H

#include <sys/types.h>
#include "common/buf.h"

struct edit {
	const char *name; /* of the table */
	int dirfd, lock_fd;
	char *text; /* the whole file */
	size_t n;
	bool exists;
	uid_t uid;
	gid_t gid;
	mode_t mode;
};

/* Says what is wrong on stderr ("postern: ..."), and returns code. */
int edit_fail(int code, const char *what, struct str about);

/* Opens a table for reading (lock false) or for a change; a missing one is
 * empty.  0, or the exit code, having said why. */
int edit_open(struct edit *, const char *name, bool lock);
void edit_close(struct edit *);

/* The line whose address has this key (line.h), without its LF: cut says how a
 * line of this table begins.  False: none. */
typedef bool edit_address(struct str line, struct str *address);
edit_address edit_user_address, edit_alias_address;
bool edit_find(const struct edit *e, edit_address *address_of, struct str key,
    struct str *line);

/* Puts `new` in the place of `old`, a line of the text; an empty old means: at
 * the end; an empty new: takes the line away.  Writes the file and has userd
 * read it.  0, or the exit code, having said why. */
int edit_change(struct edit *, struct str old, struct str new);

/* Puts all of text in the place of the table, and has userd read it.  As
 * edit_change. */
int edit_write(struct edit *, struct str text);

/* A connection to the running userd; -1 with errno. */
int edit_userd(void);

#endif
