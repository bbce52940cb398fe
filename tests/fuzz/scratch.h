/* SPDX-License-Identifier: ISC
 * scratch: a directory for harnesses whose subject reads files.  Aborts when
 * the system fails.
 */
#ifndef SCRATCH_H
#define SCRATCH_H

#include "common/str.h"

/* Its descriptor; made at the first call, removed at the end. */
int scratch_dir(void);
/* Writes a file there.  Keeps the name's pointer. */
void scratch_put(const char *name, struct str text);

#endif
