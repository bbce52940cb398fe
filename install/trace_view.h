/* SPDX-License-Identifier: ISC
 * trace_view: prints log lines as a timeline, in plain words.
 */
#ifndef TRACE_VIEW_H
#define TRACE_VIEW_H

#include "common/str.h"

enum trace_form { TRACE_WORDS, TRACE_JSON, TRACE_RAW };

/* many: lines of more than one message: each line names its own.  colour: for a
 * terminal. */
void trace_view_begin(enum trace_form, bool many, bool colour);
void trace_view_line(struct str line);

#endif
