/* SPDX-License-Identifier: ISC
 * progress: a bar on standard error, when that is a terminal and a command
 * takes longer than a second.  Public: postern-fsck draws it, too.
 */
#ifndef PROGRESS_H
#define PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* what: a short word in front of the bar.  quiet: never draws. */
void progress_begin(const char *what, bool quiet);
/* So much of `end` is done.  Cheap: call it as often as you like. */
void progress_at(uint64_t at, uint64_t end);
/* Wipes the bar, until it is drawn again; before anything else is printed. */
void progress_wipe(void);
/* Wipes the bar for good. */
void progress_end(void);

#endif
