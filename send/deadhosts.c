/* SPDX-License-Identifier: ISC
 * deadhosts: contract in deadhosts.h.  A table of fixed size: in each row of
 * WAYS the entry that ends first makes room for a new one.
 */
#include "send/deadhosts.h"

#include <string.h>

enum {
	ROWS = 256,
	WAYS = 8,
	WHY_MAX = 200,
	REST_S = 60,
	REST_MAX_S = 300,
	EARLY_S = 5,	       /* before qmgr's own retry */
	MEMORY_MS = 900 * 1000 /* a failure after that is a first one */
};

struct dead {
	struct ip ip;
	uint16_t port;
	uint8_t failures; /* in a row; 0: a free entry */
	uint8_t why_n;
	int64_t at, until; /* ms */
	char why[WHY_MAX];
};

static struct dead rows[ROWS][WAYS];

static struct dead *
row_of(const struct ip *ip)
{
	uint32_t h = 2166136261u; /* FNV-1a */
	for (size_t i = 0; i < sizeof(ip->b); i++)
		h = (h ^ ip->b[i]) * 16777619u;
	return rows[(h ^ h >> 16) % ROWS];
}

static struct dead *
find(const struct ip *ip, uint16_t port)
{
	struct dead *row = row_of(ip);
	for (size_t i = 0; i < WAYS; i++)
		if (row[i].failures > 0 && row[i].port == port &&
		    ip_eq(&row[i].ip, ip))
			return &row[i];
	return NULL;
}

static struct dead *
make_room(const struct ip *ip)
{
	struct dead *row = row_of(ip);
	struct dead *first = row;
	for (size_t i = 0; i < WAYS; i++)
		if (row[i].failures == 0 || row[i].until < first->until)
			first = &row[i];
	return first;
}

void
deadhosts_add(
    const struct ip *ip, uint16_t port, struct str why, int64_t now_ms)
{
	struct dead *e = find(ip, port);
	if (e == NULL) {
		e = make_room(ip);
		*e = (struct dead){ .ip = *ip, .port = port };
	} else if (e->until + MEMORY_MS < now_ms) {
		e->failures = 0;
	}
	if (e->failures < UINT8_MAX)
		e->failures++;
	unsigned shift = e->failures < 4 ? e->failures - 1u : 3;
	int64_t rest = (int64_t)REST_S << shift;
	rest = (rest < REST_MAX_S ? rest : REST_MAX_S) - EARLY_S;
	why = str_head(why, WHY_MAX);
	memcpy(e->why, why.p, why.n);
	e->why_n = (uint8_t)why.n;
	e->at = now_ms;
	e->until = now_ms + rest * 1000;
}

void
deadhosts_forget(const struct ip *ip, uint16_t port)
{
	struct dead *e = find(ip, port);
	if (e != NULL)
		e->failures = 0;
}

bool
deadhosts_find(
    const struct ip *ip, uint16_t port, int64_t now_ms, struct buf *why)
{
	const struct dead *e = find(ip, port);
	if (e == NULL || e->until <= now_ms)
		e = find(ip, 0);
	if (e == NULL || e->until <= now_ms)
		return false;
	buf_put(why, (struct str){ e->why, e->why_n });
	buf_puts(why, " (");
	buf_put_u64(why, (uint64_t)(now_ms - e->at) / 1000);
	buf_puts(why, " s ago; not tried again yet)");
	return true;
}

void
deadhosts_clear(void)
{
	memset(rows, 0, sizeof(rows));
}
