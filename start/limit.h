/* SPDX-License-Identifier: ISC
 * limit: how many sessions there are in all, from each address and from each
 * IPv6 /64.  Pure but for the heap, which is taken once.
 */
#ifndef LIMIT_H
#define LIMIT_H

#include "common/ip.h"

enum limit_answer {
	LIMIT_TAKEN,
	LIMIT_OVER_TOTAL,
	LIMIT_OVER_ADDRESS,
	LIMIT_OVER_NET
};

struct limits {
	uint64_t total, per_address, per_net64;
};

struct limit;

/* A table for at most `capacity` sessions; `seed` keeps strangers from choosing
 * addresses that collide.  NULL with ENOMEM. */
struct limit *limit_new(size_t capacity, uint64_t seed);
/* Counts a session from ip, unless one of the limits (total is cut to the
 * capacity) is reached: then nothing is counted. */
enum limit_answer limit_take(
    struct limit *, const struct limits *, const struct ip *ip);
/* A session that was taken has ended. */
void limit_release(struct limit *, const struct ip *ip);
size_t limit_count(const struct limit *);

#endif
