/* SPDX-License-Identifier: ISC
 * portholder: which process listens on a TCP port, from /proc.
 */
#ifndef PORTHOLDER_H
#define PORTHOLDER_H

#include <stddef.h>
#include <stdint.h>

enum portholder {
	PORTHOLDER_NONE,
	PORTHOLDER_OURS, /* a program postern-* */
	PORTHOLDER_OTHER,
	PORTHOLDER_UNKNOWN /* only root can look, or it is in another namespace
			    */
};

/* name: of its program, cut to size. */
enum portholder portholder_find(
    uint16_t port, char *name, size_t size, int *pid);

#endif
