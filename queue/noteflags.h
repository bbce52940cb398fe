/* SPDX-License-Identifier: ISC
 * noteflags: the flags of queued's notes to qmgr, N and n (INTERNALS.md,
 * "Notes"), for both ends.
 */
#ifndef NOTEFLAGS_H
#define NOTEFLAGS_H

enum {
	NOTE_MORE = 1, /* of N and n: more recipients follow */
	NOTE_8BIT = 2, /* of N: the body has bytes over 0x7f */
	NOTE_HELD = 4  /* of N: an administrator holds the message */
};

#endif
