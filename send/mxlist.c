/* SPDX-License-Identifier: ISC
 * mxlist: see mxlist.h.
 */
#include "send/mxlist.h"

static uint64_t
next_random(uint64_t *x)
{
	/* xorshift64 (Marsaglia 2003): to spread load, not to keep secrets */
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

static bool
is_before(const struct mx *a, const struct mx *b)
{
	if (a->preference != b->preference)
		return a->preference < b->preference;
	return a->order < b->order;
}

static void
sort(struct mx *mxs, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct mx mx = mxs[i];
		size_t to = i;

		for (; to > 0 && is_before(&mx, &mxs[to - 1]); to--)
			mxs[to] = mxs[to - 1];
		mxs[to] = mx;
	}
}

enum mxlist_status
mxlist_take(struct packet *p, uint64_t *random, struct mx *mxs, size_t *n)
{
	uint32_t count = packet_get_u32(p);
	bool null_mx = false;

	*n = 0;
	if (count > MXLIST_MAX)
		return MXLIST_BAD;
	for (uint32_t i = 0; i < count && !p->bad; i++) {
		struct mx mx = { .preference = packet_get_u32(p) };

		mx.host = packet_get_str(p, LIMIT_DOMAIN);
		mx.order = next_random(random);
		null_mx |= mx.host.n == 0;
		if (mx.host.n > 0)
			mxs[(*n)++] = mx;
	}
	if (!packet_end(p))
		return MXLIST_BAD;
	sort(mxs, *n);
	return null_mx && count == 1 ? MXLIST_NULL : MXLIST_OK;
}
