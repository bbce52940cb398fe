/* SPDX-License-Identifier: ISC
 * dotqmail: what a user's .qmail file says (dot-qmail(5) of qmail 1.03), and
 * which file is asked for an address extension.  Pure.
 */
#ifndef SEND_DOTQMAIL_H
#define SEND_DOTQMAIL_H

#include "common/buf.h"

enum {
	DOTQMAIL_SIZE = 16 * 1024, /* of a file, at the most */
	DOTQMAIL_NAME = 160	   /* room for a file's name and its NUL */
};

enum dotqmail_kind {
	DOTQMAIL_MAILDIR, /* text: path without the slashes at its end */
	DOTQMAIL_MBOX,	  /* text: path; we do not write these */
	DOTQMAIL_PROGRAM, /* text: for /bin/sh -c */
	DOTQMAIL_FORWARD, /* text: an address, not looked at */
	DOTQMAIL_LIST,	  /* "+list": only forwards may follow */
	DOTQMAIL_BLANK,	  /* the first line is empty: a mistake, defer */
	DOTQMAIL_BAD /* a NUL byte, or a word after "+" that we don't know */
};

struct dotqmail_line {
	enum dotqmail_kind kind;
	struct str text; /* view into the file's content */
};

/* Takes the next instruction of the file `content`, of which everything before
 * *at has been taken; skips comments and empty lines.  False at the end. */
bool dotqmail_next(struct str content, size_t *at, struct dotqmail_line *line);

/* The path below the home for a maildir line: "./" or the home itself in front
 * are taken off.  False for a path that leads elsewhere or has an empty, "."
 * or ".." part. */
bool dotqmail_path(struct str line, struct str home, struct str *path);
/* True for a relative path of at most max bytes whose parts are plain names. */
bool dotqmail_path_is_plain(struct str path, size_t max);

/* Puts the name of the try-th file (from 0) for this extension: .qmail for the
 * empty one; else .qmail-EXT, then .qmail-PREFIX-default from the longest
 * prefix to .qmail-default.  *matched is the length of the prefix, with its
 * dash (what follows is qmail's $DEFAULT).  False: no more, or the extension
 * cannot be a file's name. */
bool dotqmail_name(
    struct buf *, struct str extension, unsigned try, size_t *matched);

#endif
