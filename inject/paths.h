/* SPDX-License-Identifier: ISC
 * paths: the envelope as qmail-queue reads it: "F" sender NUL, then "T"
 * recipient NUL for each, then one more NUL.  Pure; takes its input in pieces.
 */
#ifndef PATHS_H
#define PATHS_H

#include "common/buf.h"
#include "common/limits.h"

enum paths_status {
	PATHS_ONE,  /* a path: *type is F or T, *path a view into p */
	PATHS_MORE, /* all of the input is taken */
	PATHS_END,  /* the envelope is whole; what follows is not looked at */
	PATHS_BAD,  /* no such envelope */
	PATHS_LONG  /* an address over LIMIT_ADDRESS */
};

struct paths {
	enum { PATHS_WANT_F, PATHS_IN_F, PATHS_WANT_T, PATHS_IN_T } state;
	size_t n;
	char text[LIMIT_ADDRESS];
};

/* Reads on in *in, and takes from it what it has read.  A zeroed *p begins. The
 * path is valid until the next call.  Nothing is called after END, BAD, LONG.
 */
enum paths_status paths_next(
    struct paths *p, struct str *in, char *type, struct str *path);

#endif
