/* SPDX-License-Identifier: ISC
 * places: the one table of the suite's directories, with owner, group and mode;
 * `postern init` makes them, `postern check` compares.
 */
#ifndef PLACES_H
#define PLACES_H

#include <sys/types.h>
#include "common/layout.h"

struct place {
	enum layout_place where;
	const char *user, *group;
	mode_t mode;
	const char *what;
};

extern const struct place places[];
extern const size_t place_count;

#endif
