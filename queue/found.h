/* SPDX-License-Identifier: ISC
 * found: the files that recovery finds in mess/.  Their names are read at once,
 * which takes a second for a million; the files themselves while queued serves
 * already, or as soon as something is said about one of them.  Until all are
 * read, qmgr is not told that it knows everything (E).
 */
#ifndef FOUND_H
#define FOUND_H

#include "queue/spool.h"

/* Sweeps mess/tmp and reads the names of all files.  Dies (111) when that
 * cannot be done. */
void found_scan(struct spool *);
/* The slot of a message, read now if it was not yet; LEDGER_NONE: there is no
 * such message.  Dies (111) without memory or a descriptor. */
uint32_t found_slot(struct spool *, uint64_t id);
/* A record of this id was found, and its file is not to be read.  False: there
 * is none, or it was read already. */
bool found_skip(struct spool *, uint64_t id);
/* Reads files for some milliseconds.  False: all are read. */
bool found_run(struct spool *);
/* True for an error that speaks of this process and not of the file: another
 * time may do better. */
bool found_is_ours(int error);
/* Are there files that are not read yet? */
bool found_left(const struct spool *);

#endif
