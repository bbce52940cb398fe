/* SPDX-License-Identifier: ISC
 * latency: how long messages took, counted by several processes in memory that
 * they share; in slots that are a 16th of a power of two wide.
 */
#ifndef LATENCY_H
#define LATENCY_H

#include <stdatomic.h>
#include <stddef.h>

enum { LATENCY_SLOTS = 400 };

struct latency {
	atomic_uint slots[LATENCY_SLOTS];
	atomic_uint worst_us;
};

void latency_note(struct latency *, unsigned us);
/* Milliseconds that this part (0.99, say) of `count` messages did not exceed;
 * 0: fewer were noted. */
double latency_ms(struct latency *, size_t count, double part);

#endif
