/* SPDX-License-Identifier: ISC
 * aliasfile: the syntax of sendmail's /etc/aliases, and of the files that its
 * :include: names.  Pure.
 *
 * `name: target, target`; a line that begins with a space or a tab goes on with
 * the one before; empty lines and lines whose first character is # do not
 * count, wherever they stand.
 */
#ifndef USERS_ALIASFILE_H
#define USERS_ALIASFILE_H

#include "common/str.h"

/* Text that is being read; line is that of the first byte of rest. */
struct aliasfile {
	struct str rest;
	unsigned line; /* from 1 */
};

struct aliasfile_entry {
	struct str name;	 /* as written, quotes too */
	unsigned line;		 /* of the name */
	struct aliasfile values; /* for aliasfile_target */
};

/* The next entry; false at the end.  *wrong is NULL, or what is wrong with it
 * (then only line counts).  Views into the text. */
bool aliasfile_entry(
    struct aliasfile *, struct aliasfile_entry *, const char **wrong);

enum aliasfile_kind {
	ALIASFILE_ADDRESS, /* or what should be one */
	ALIASFILE_PROGRAM, /* |command */
	ALIASFILE_FILE,	   /* /path */
	ALIASFILE_INCLUDE, /* :include:path; text is the path */
	ALIASFILE_SPECIAL, /* :fail: and others of Exim's */
	ALIASFILE_OWN	   /* \name: this user, whatever aliases say */
};

struct aliasfile_target {
	enum aliasfile_kind kind;
	struct str text; /* without quotes around a whole that is no address */
	unsigned line;
};

/* The next target of an entry, or of an included file; false at the end. */
bool aliasfile_target(struct aliasfile *, struct aliasfile_target *);

#endif
