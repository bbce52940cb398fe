/* SPDX-License-Identifier: ISC
 * exitcode: what a program's exit says, the same for all (qmail's convention).
 */
#ifndef EXITCODE_H
#define EXITCODE_H

enum exitcode {
	EXITCODE_DONE = 0,
	EXITCODE_PERMANENT = 100, /* usage, configuration, refused for good */
	EXITCODE_TEMPORARY = 111, /* try again: memory, disk, a peer away */
	EXITCODE_SANDBOX = 159	  /* a forbidden call: 128 + SIGSYS */
};

#endif
