/* SPDX-License-Identifier: ISC
 * within: what a parser hands out lies within what it was given.
 */
#ifndef WITHIN_H
#define WITHIN_H

#include <stdlib.h>
#include "common/str.h"

/* Aborts when part is not empty and reaches outside of all. */
static inline void
check_within(struct str all, struct str part)
{
	if (part.n > 0 && (part.p < all.p || part.p + part.n > all.p + all.n))
		abort();
}

#endif
