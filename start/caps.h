/* SPDX-License-Identifier: ISC
 * caps: what is left of root after start-up.
 */
#ifndef CAPS_H
#define CAPS_H

/* Gives up every capability that neither postern-start nor postern-become
 * needs, here and in the bounding set.  Nothing when not root.  Dies when the
 * kernel refuses. */
void caps_reduce(void);

#endif
