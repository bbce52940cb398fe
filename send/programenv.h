/* SPDX-License-Identifier: ISC
 * programenv: the environment of a program from a .qmail file, as
 * qmail-command(8) has it.  Pure.
 *
 * What a stranger chose (sender, recipient, extension) reaches the program only
 * if it holds nothing that a shell could take for more than a word: letters,
 * digits and @ . _ - + = / : [ ] % # ~ ^ and comma.
 */
#ifndef SEND_PROGRAMENV_H
#define SEND_PROGRAMENV_H

#include "common/buf.h"

struct programenv {
	struct str sender, recipient; /* canonical addresses */
	struct str extension;
	size_t matched;	 /* where $DEFAULT begins in extension */
	bool by_default; /* the file was a -default one */
	int64_t birth;	 /* seconds since 1970, for UFLINE */
	struct str user, home;
};

/* True when all bytes are of the set above. */
bool programenv_is_safe(struct str);
/* Puts NAME=value strings, each ended by NUL.  False: an address has unsafe
 * bytes (nothing else is wrong); the buffer is full when they do not fit. */
bool programenv_put(struct buf *, const struct programenv *);

#endif
