/* SPDX-License-Identifier: ISC
 * queue_show: a message's own bytes, for `postern queue show` and `cat`.
 */
#ifndef QUEUE_SHOW_H
#define QUEUE_SHOW_H

#include <stdbool.h>
#include <stdint.h>

/* Copies the message to standard output.  K; Z: not now, and said why; D: no
 * such message; 0: no answer (errno). */
char queue_show_body(uint64_t id);
/* Prints the fields of its header that tell where it comes from.  False: no
 * answer (errno). */
bool queue_show_header(uint64_t id);

#endif
