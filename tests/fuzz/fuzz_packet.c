/* SPDX-License-Identifier: ISC
 * Fuzzes common/packet: the input is a packet, read by a program of field types
 * taken from its own last bytes.
 */
#include <stdlib.h>
#include "common/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	size_t steps = n < 16 ? n : 16;
	struct packet p =
	    packet_open((struct str){ .p = (const char *)data, .n = n });
	for (size_t i = 0; i < steps; i++) {
		unsigned kind = data[n - 1 - i] & 3;
		struct str s;
		if (kind == 0)
			packet_get_u8(&p);
		else if (kind == 1)
			packet_get_u32(&p);
		else if (kind == 2)
			packet_get_u64(&p);
		else if ((s = packet_get_str(&p, 100)).n > 100 ||
			 (p.bad && s.n > 0))
			abort();
		if (p.rest.n > n)
			abort();
	}
	return packet_end(&p) && p.bad;
}
