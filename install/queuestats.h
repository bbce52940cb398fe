/* SPDX-License-Identifier: ISC
 * queuestats: what qmgr counts, asked at run/qmgr (INTERNALS.md "Ask: qmgr").
 */
#ifndef QUEUESTATS_H
#define QUEUESTATS_H

#include "common/str.h"

enum { QUEUESTATS_MAX = 64, QUEUESTATS_NAME = 32 };

struct queuestats {
	bool known;
	const char *why; /* when it is not known */
	bool forbidden;	 /* because of who asks */
	size_t count;
	struct {
		char name[QUEUESTATS_NAME];
		uint64_t value;
	} values[QUEUESTATS_MAX];
};

/* Asks qmgr, for at most some seconds. */
void queuestats_ask(struct queuestats *);
/* The value of that name; 0 when qmgr did not give it. */
uint64_t queuestats_value(const struct queuestats *, const char *name);

#endif
