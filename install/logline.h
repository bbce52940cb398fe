/* SPDX-License-Identifier: ISC
 * logline: reads the lines that common/log.h writes (postern-log(5)).  Pure.
 */
#ifndef LOGLINE_H
#define LOGLINE_H

#include "common/buf.h"

enum { LOGLINE_FIELDS = 24 };

struct logline_field {
	struct str key,
	    value; /* value: without its quotes, escapes as they are */
};

struct logline {
	struct str t, level, role, event;
	struct logline_field field[LOGLINE_FIELDS]; /* all but those */
	size_t count;
};

/* Views into `line` (without its LF).  False: it is none of ours.  What stands
 * before "t=" (a syslog head, say) is skipped; fields over LOGLINE_FIELDS are
 * left out. */
bool logline_read(struct str line, struct logline *);
/* The value of a field; the empty str when it has none of that name. */
struct str logline_value(const struct logline *, struct str key);
/* The value of `key` ("qid=", say, the = included) without reading the line;
 * for values that have no spaces.  Empty: none. */
struct str logline_find(struct str line, struct str key);
/* Puts the value with its escapes undone. */
void logline_unescape(struct buf *, struct str value);

#endif
