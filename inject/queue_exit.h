/* SPDX-License-Identifier: ISC
 * queue_exit: what postern-queue's exit codes say; qmail-queue's.  11 to 40 are
 * for good, all others but 0 for now.  Public: whoever runs a program with
 * that interface reads them.
 */
#ifndef QUEUE_EXIT_H
#define QUEUE_EXIT_H

enum queue_exit {
	QUEUE_EXIT_DONE = 0,
	QUEUE_EXIT_ADDRESS_LONG = 11,
	QUEUE_EXIT_REFUSED = 31, /* for good; the report line says why */
	QUEUE_EXIT_MEMORY = 51,
	QUEUE_EXIT_TIMEOUT = 52,
	QUEUE_EXIT_WRITE = 53, /* disk full, quota, I/O error */
	QUEUE_EXIT_READ = 54,  /* message or envelope cannot be read */
	QUEUE_EXIT_CONFIG = 55,
	QUEUE_EXIT_NETWORK = 56, /* run/queue cannot be connected to */
	QUEUE_EXIT_DROP_BOX = 62,
	QUEUE_EXIT_REFUSED_NOW = 71,
	QUEUE_EXIT_LOST = 74, /* queued went away before it answered */
	QUEUE_EXIT_BUG = 81,
	QUEUE_EXIT_ENVELOPE = 91
};

#endif
