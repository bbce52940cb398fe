/* SPDX-License-Identifier: ISC
 * queue_end: how postern-queue ends: an exit code, and a line that says why.
 * The only place of it that exits.
 */
#ifndef QUEUE_END_H
#define QUEUE_END_H

#include "common/str.h"
#include "inject/queue_exit.h"

/* Where the line goes ($POSTERN_QUEUE_REPORT), if it is an open descriptor of 3
 * or above; else what went wrong goes to standard error. */
void queue_end_report_to(struct str number);
/* Called once before the end, to take back what was begun. */
void queue_end_first(void (*undo)(void));
/* text: of at most 480 bytes. */
_Noreturn void queue_end(int code, char verdict, struct str text);
/* D for codes from 11 to 40, else Z. */
_Noreturn void queue_fail(enum queue_exit, const char *text);
/* Z, and what errno says behind the text. */
_Noreturn void queue_fail_errno(enum queue_exit, const char *text);

#endif
