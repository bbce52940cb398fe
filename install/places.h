/* SPDX-License-Identifier: ISC
 * places: the one table of what a suite has on a disk: path, kind, owner, group
 * and mode.  `postern init` makes the folders, `postern check` compares every
 * row, `postern layout` prints them, for people and for systemd-tmpfiles.
 */
#ifndef PLACES_H
#define PLACES_H

#include <sys/types.h>
#include "common/layout.h"

enum place_kind {
	PLACE_DIR,    /* made by `postern init` */
	PLACE_FILE,   /* need not be there */
	PLACE_SOCKET, /* there while the suite runs; made by start */
	PLACE_PROGRAM /* where the programs lie */
};

struct place {
	enum place_kind kind;
	enum layout_place where; /* not of programs */
	const char *name; /* below it; "*": every further file; NULL: itself */
	const char *user, *group;
	mode_t mode;
	const char *what;
};

extern const struct place places[];
extern const size_t place_count;

/* "folder", "file", "socket", "program". */
const char *place_kind_name(enum place_kind);
/* Its path, ended by NUL; with name in place of the row's if that is not NULL.
 * Dies (100, 111) when it does not fit. */
const char *place_path(const struct place *, const char *name, struct buf *);
/* The row for a file below where (or beside the programs): its own, or "*".
 * NULL: none. */
const struct place *place_of_file(
    enum place_kind, enum layout_place where, const char *name);

#endif
