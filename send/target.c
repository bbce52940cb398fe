/* SPDX-License-Identifier: ISC
 * target: see target.h.
 */
#include "send/target.h"

bool
target_is_special(const struct ip *ip)
{
	/* RFC 6890; an IPv4-mapped address is IPv4 here already */
	static const struct ip_net nets[] = {
#define V4(a, b, n)                                                            \
	{ .base = { { [10] = 0xff, [11] = 0xff, [12] = (a), [13] = (b) } },    \
		.bits = 96 + (n) }
		V4(0, 0, 8),
		V4(127, 0, 8),
		V4(169, 254, 16),
		V4(224, 0, 4),
		V4(240, 0, 4),
#undef V4
		{ .base = { { 0 } }, .bits = 127 }, /* :: and ::1 */
		{ .base = { { 0xfe, 0x80 } }, .bits = 10 },
		{ .base = { { 0xff } }, .bits = 8 },
	};

	for (size_t i = 0; i < N_ELEMENTS(nets); i++)
		if (ip_net_has(&nets[i], ip))
			return true;
	return false;
}
