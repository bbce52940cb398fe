/* SPDX-License-Identifier: ISC
 * drops: the messages of the drop box whose file may still be there: each has
 * an unfinished recipient for it (envelope.h), so that it stays known over
 * crashes until pickup says that the file is gone.
 */
#ifndef DROPS_H
#define DROPS_H

#include "queue/spool.h"

enum { DROPS_MAX = 1024 /* beyond it no more are taken */ };

/* Recovery found this message, unless it is none of the drop box.  Dies (111)
 * without memory. */
void drops_found(const struct envelope *, uint64_t id);
/* True when there is room for n more. */
bool drops_reserve(size_t n);
/* Takes a durable one; there is room. */
void drops_add(uint64_t key, uint64_t id);
/* True and its id when the file of that key is known, and not gone. */
bool drops_find(struct spool *, uint64_t key, uint64_t *id);
/* The file is gone. */
void drops_forget(uint64_t key);
/* The i-th of them that is not among these keys (8 bytes each, big-endian),
 * from *i on.  False: there is none. */
bool drops_next_missing(
    struct spool *, size_t *i, struct str keys, uint64_t *key, uint64_t *id);

#endif
