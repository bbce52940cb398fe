/* SPDX-License-Identifier: ISC
 * queue_view: prints the recipients that qmgr lists, for `postern queue`, as
 * they come: up to some thousand are sorted, oldest message first; of a longer
 * list none but those is kept.
 */
#ifndef QUEUE_VIEW_H
#define QUEUE_VIEW_H

#include "install/queue_ask.h"

enum queue_form {
	QUEUE_FORM_NARROW, /* two lines of 80 columns a recipient */
	QUEUE_FORM_WIDE,   /* one line, however long */
	QUEUE_FORM_JSON,   /* an object a message, on a line */
	QUEUE_FORM_DETAILS /* a paragraph a message */
};

/* now: seconds since 1970.  columns: of QUEUE_FORM_NARROW. */
void queue_view_begin(enum queue_form, int64_t now, size_t columns);
/* False: no memory, or standard output takes no more. */
bool queue_view_row(const struct queue_row *);
/* Recipients that came since queue_view_begin. */
uint64_t queue_view_count(void);
/* Prints what is left.  The number of recipients and messages that came. */
void queue_view_end(uint64_t *rcpts, uint64_t *messages);

/* s without what could play with a terminal, at most `most` characters; valid
 * until the next call but one. */
const char *queue_view_safe(struct str s, size_t most);
/* Prints s as the end of a line that has room for so many characters; what does
 * not fit becomes two dots. */
void queue_view_cut(const char *s, size_t room);

struct queue_words {
	char words[32];
};
/* "47s", "12m05s", "5h10m", "3d2h" */
struct queue_words queue_view_span(int64_t seconds);
/* "30K" */
struct queue_words queue_view_amount(uint64_t bytes);
/* "2026-11-22 04:28:31 +0100", in the time zone of this process */
struct queue_words queue_view_when(int64_t seconds);

#endif
