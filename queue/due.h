/* SPDX-License-Identifier: ISC
 * due: the heap of recipients that wait for their next attempt, the soonest
 * first.  Part of qmgr; no I/O.  Time is in ticks of a tenth of a second since
 * the process began, on the clock that never steps.
 */
#ifndef DUE_H
#define DUE_H

#include <stdint.h>

enum { TICKS_PER_SECOND = 10 };

/* The tick of what waits for an order, not for a time. */
#define DUE_NEVER UINT32_MAX

/* Puts a recipient in state WAITING into the heap. */
void due_put(uint32_t rcpt, uint32_t tick);
/* Takes it out. */
void due_remove(uint32_t rcpt);
/* The soonest; 0: none. */
uint32_t due_first(void);

#endif
