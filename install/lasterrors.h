/* SPDX-License-Identifier: ISC
 * lasterrors: run/errors, which start keeps for `postern status`.
 */
#ifndef LASTERRORS_H
#define LASTERRORS_H

#include "common/str.h"

enum { LASTERRORS_MAX = 16, LASTERRORS_BYTES = 16 * 1024 };

struct lasterrors {
	bool known;
	const char *why; /* when it is not known */
	uint64_t total;	 /* since the start */
	size_t count;
	struct str line[LASTERRORS_MAX]; /* the newest last; as in the log */
	char text[LASTERRORS_BYTES];
};

void lasterrors_read(struct lasterrors *);
/* Prints the newest `most`, when and by whom, in lines of at most 80 columns,
 * indented by `indent`. */
void lasterrors_print(const struct lasterrors *, size_t most);
/* As an array of objects: t, role, event, line. */
void lasterrors_json(const struct lasterrors *);

#endif
