/* SPDX-License-Identifier: ISC
 * schedule: when a recipient is tried again.  Pure: every time is an argument.
 *
 * As qmail (qmail-send(8)): a message that is `age` seconds old is tried again
 * at the age of (sqrt(age) + 20)^2 seconds to another host, (sqrt(age) + 10)^2
 * here: 6:40, 26:40, 1 h, 1:46:40 ... and 1:40, 6:40, 15:00, 26:40 ...  Postern
 * adds a jitter of up to a 64th of the wait (6 s of the first 400), a hash of
 * the queue id and the number of the attempt, so that a thousand messages of
 * one minute do not all come back in one second.  The last attempt is made
 * exactly when the lifetime ends, never later.
 */
#ifndef SCHEDULE_H
#define SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

enum schedule_channel { SCHEDULE_LOCAL, SCHEDULE_REMOTE };

/* When the attempt after one made at `now` is due, in seconds since 1970; the
 * end of the lifetime when that is sooner.  Call it only before that end. */
int64_t schedule_next(uint64_t id, int64_t birth, int64_t now, int64_t lifetime,
    enum schedule_channel, unsigned attempt);

/* True when an attempt made now is the last one. */
bool schedule_is_last(int64_t birth, int64_t now, int64_t lifetime);

/* 0..max, a hash of id and attempt. */
uint32_t schedule_jitter(uint64_t id, unsigned attempt, uint32_t max);

/* Seconds that a host is left alone after so many failures in a row: 60, 120,
 * 240 ... at most 1800; 0 for none.  Shorter than the wait of a message that
 * saw all those failures, so that a lone message is never held up. */
int64_t schedule_host_rest(unsigned failures);

#endif
