/* SPDX-License-Identifier: ISC
 * clock: time, and how it is written.  All output is UTC.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include "common/buf.h"

int64_t clock_now_us(void);  /* microseconds since 1970 (wall clock) */
int64_t clock_now(void);     /* seconds since 1970 (wall clock) */
int64_t clock_mono_ms(void); /* never steps back */
int64_t clock_mono_us(void);
/* "Sat, 21 Nov 2026 23:47:35 +0000" (RFC 5322 3.3). */
void clock_put_rfc5322(struct buf *, int64_t seconds);
/* "2026-11-21T23:47:35.123456Z" */
void clock_put_iso(struct buf *, int64_t us);

#endif
