/* SPDX-License-Identifier: ISC
 * passwdfile: /etc/passwd, read once and kept until it changes.  getpwnam reads
 * it from its beginning for every name: with ten thousand users half a
 * millisecond, more than all else that a delivery costs.
 *
 * Only a shortcut: asked for what getpwnam(3) would find here first, that is,
 * when nsswitch.conf(5) names "files" first (or nothing) for passwd.
 */
#ifndef SEND_PASSWDFILE_H
#define SEND_PASSWDFILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include "send/account.h"

enum {
	PASSWDFILE_MAX = 64 * 1024 * 1024, /* bytes */
	PASSWDFILE_YOUNG_S = 2 /* so long after a change it is not relied on */
};

struct passwdfile {
	const char *path, *order_path; /* set by the caller, the rest zero */
	struct stat seen, order_seen;  /* when it was read */
	bool usable;
	char *space; /* text, then the places; shared memory, not inherited */
	size_t space_n, text_n, places;
};

/* True: *out has the user's entry.  False: nothing is known about the name, and
 * getpwnam is to be asked. */
bool passwdfile_find(struct passwdfile *, struct str name, struct account *out);
/* One line of the file; false when it is not an account's. */
bool passwdfile_parse(struct str line, struct account *out);
/* True when this nsswitch.conf names "files" first for passwd, or has no such
 * line. */
bool passwdfile_is_first(struct str order);

#endif
