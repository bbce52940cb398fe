/* SPDX-License-Identifier: ISC
 * log: one line per event on stderr, logfmt: t= level= role= event= and fields.
 * A line is one write(2) of at most LOG_LINE bytes; it never blocks: a line
 * that stderr does not take is counted, and the count is logged when it can be.
 */
#ifndef LOG_H
#define LOG_H

#include "common/buf.h"

enum { LOG_LINE = 2048 };
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_field {
	const char *key;
	struct str text; /* escaped and, when needed, quoted */
	uint64_t number; /* used when text.p is NULL */
	bool hex;	 /* number as a queue id */
};

#define F_STR(k, s)	((struct log_field){ .key = (k), .text = (s) })
#define F_TEXT(k, cstr) ((struct log_field){ .key = (k), .text = str_of(cstr) })
#define F_NUM(k, v)	((struct log_field){ .key = (k), .number = (uint64_t)(v) })
#define F_ID(v)		((struct log_field){ .key = "qid", .number = (v), .hex = true })
#define F_ERRNO(e)	F_TEXT("error", strerror(e)) /* include <string.h> */

/* LOG(INFO, "accept", F_STR("sid", sid), F_NUM("port", port)); */
#define LOG(level, event, ...)                                                 \
	log_event(LOG_##level, (event),                                        \
	    (const struct log_field[]){ __VA_ARGS__ },                         \
	    sizeof((const struct log_field[]){ __VA_ARGS__ }) /                \
		sizeof(struct log_field))

/* Sets the role's name, and makes what libc sets up lazily.  Before any LOG. */
void log_init(const char *role);
/* For a program that inetd may start: when fd 2 is the network's socket, as
 * fd 0 is, lines go to /dev/log instead (connected here, before the sandbox).
 * 0, or -1 with errno: then nothing is logged. */
int log_off_network(void);
/* Lines go to /dev/log from now on.  0, or -1 with errno: then nothing is
 * logged. */
int log_to_syslog(void);
void log_event(
    enum log_level, const char *event, const struct log_field *, size_t count);
/* From now on debug and info lines wait for log_flush, for a warning or an
 * error, or until there are 4 KiB (PIPE_BUF) of them: one write for all that a
 * round of the loop has to say.  loop_run flushes before it waits; who ends by
 * _exit flushes itself.  Not in a process that forks afterwards. */
void log_gather(void);
void log_flush(void);

/* Gives each line of level error, without its LF, to `each` too, after it was
 * written; NULL: to nobody.  It may log, but no error. */
void log_on_error(void (*each)(struct str line));

/* Puts s with control bytes, backslash, quote and bytes >= 0x80 as \xHH, at
 * most max bytes of output, so that a peer's text can stand in a log or a
 * bounce. */
void log_safe(struct buf *, struct str s, size_t max);

#endif
