/* SPDX-License-Identifier: ISC
 * walkend: how a walk (walk.h) ends, and what its text says.  Pure.
 */
#ifndef WALKEND_H
#define WALKEND_H

#include "send/walk.h"

/* Ends it with the domain between two pieces of text. */
void walkend_with(
    struct walk *, enum verdict, const char *before, const char *behind);
/* All addresses are used up. */
void walkend_addresses(struct walk *);

#endif
