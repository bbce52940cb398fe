/* SPDX-License-Identifier: ISC
 * message: a message from standard input, kept for attempts to send it.
 */
#ifndef SEND_MESSAGE_H
#define SEND_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

struct message {
	int fd; /* sealed memory; nobody can change it any more */
	uint64_t size;
	bool eight_bit; /* has bytes over 0x7f */
};

/* Reads in_fd to its end; lines end in LF then (CRLF text is made so).  max:
 * bytes, 0 any.  NULL, or what is wrong, with an enhanced status code in front
 * (class 4: try again). */
const char *message_read(int in_fd, uint64_t max, struct message *);

#endif
