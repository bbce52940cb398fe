/* SPDX-License-Identifier: ISC
 * control: settings, one plain file each in the control directory, with qmail's
 * names and meaning where qmail had them.  The one table of all settings, with
 * defaults, is in control.c; `postern show` and `postern check` walk it.
 */
#ifndef CONTROL_H
#define CONTROL_H

#include "common/buf.h"

enum control_kind {
	CONTROL_NUMBER, /* first line, decimal, within min..max */
	CONTROL_LINE,	/* first line */
	CONTROL_LIST	/* a line each; # starts a comment line */
};

enum { CONTROL_FILE_MAX = 4 * 1024 * 1024, CONTROL_LINE_MAX = 1024 };

struct control_setting {
	const char *name;
	enum control_kind kind;
	const char *fallback; /* default; NULL: none (see help) */
	uint64_t min, max;    /* of numbers; max lines of a list */
	const char *help;     /* one line, unit included */
};

extern const struct control_setting control_settings[];
extern const size_t control_setting_count;
/* NULL when there is no such setting. */
const struct control_setting *control_find(const char *name);

/* Every reader logs event=config-error with file, line and what to do, and
 * returns -1, when a file cannot be read or holds nonsense; 0 on success. */

/* Mistakes go to `each` instead of the log (`postern check`); NULL: to the log.
 * line is 0 when it is about the file as a whole. */
void control_on_mistake(
    void (*each)(const char *file, unsigned line, const char *what));

/* Tells of a mistake in a file that somebody else reads, in the same way; -1.
 */
int control_complain(const char *file, unsigned line, const char *what);

/* The value of a CONTROL_NUMBER, or its default. */
int control_number(int dirfd, const char *name, uint64_t *v);
/* The value of a CONTROL_LINE, or its default (empty when it has none; `me`
 * falls back to the host's name).  Put into out (emptied first). */
int control_line(int dirfd, const char *name, struct buf *out);
/* Calls each(arg, line, number) for every line of a CONTROL_LIST that is not
 * empty or a comment; each returns NULL or what is wrong with the line.  A
 * missing file is the default, by lines.  The log has the first 20 mistakes. */
int control_list(int dirfd, const char *name,
    const char *(*each)(void *arg, struct str line, unsigned number),
    void *arg);

#endif
