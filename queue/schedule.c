/* SPDX-License-Identifier: ISC
 * schedule: contract in schedule.h.
 */
#include "queue/schedule.h"

enum { SKIP_LOCAL = 10, SKIP_REMOTE = 20, JITTER_PART = 64, REST_MAX = 1800 };

/* The integer square root, rounded down. */
static int64_t
square_root(int64_t x)
{
	int64_t low = 0;
	int64_t high = (int64_t)1 << 31;
	while (low < high) {
		int64_t middle = low + (high - low + 1) / 2;
		if (middle <= x / middle)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

uint32_t
schedule_jitter(uint64_t id, unsigned attempt, uint32_t max)
{
	/* the finisher of MurmurHash3 (A. Appleby, public domain) */
	uint64_t h = id + attempt * 0x9e3779b97f4a7c15u;
	h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
	h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
	return (uint32_t)((h ^ h >> 33) % ((uint64_t)max + 1));
}

int64_t
schedule_next(uint64_t id, int64_t birth, int64_t now, int64_t lifetime,
    enum schedule_channel channel, unsigned attempt)
{
	int64_t end = birth + lifetime;
	if (birth > now) /* the clock was set back */
		birth = now;
	int64_t age = now - birth;
	int64_t root = square_root(age) +
		       (channel == SCHEDULE_LOCAL ? SKIP_LOCAL : SKIP_REMOTE);
	int64_t next = birth + root * root;
	uint32_t most = (uint32_t)((next - birth - age) / JITTER_PART);
	next += schedule_jitter(id, attempt, most);
	return next < end ? next : end;
}

bool
schedule_is_last(int64_t birth, int64_t now, int64_t lifetime)
{
	return now >= birth + lifetime;
}

int64_t
schedule_host_rest(unsigned failures)
{
	if (failures == 0)
		return 0;
	if (failures > 5)
		return REST_MAX;
	int64_t rest = (int64_t)60 << (failures - 1);
	return rest < REST_MAX ? rest : REST_MAX;
}
