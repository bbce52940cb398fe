/* SPDX-License-Identifier: ISC
 * Fuzzes dns/answer: any message, and the packet that dial would read is well
 * formed, its host names valid.
 */
#include <stdlib.h>

#include "common/address.h"
#include "common/packet.h"
#include "dns/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum answer_type types[] = { ANSWER_A, ANSWER_PTR,
		ANSWER_MX, ANSWER_TXT, ANSWER_AAAA, ANSWER_TLSA };
	static char bytes[PACKET_MAX];
	struct buf records = { .p = bytes, .cap = sizeof(bytes) - 64 };

	if (size == 0)
		return 0;
	enum answer_type type = types[data[0] % N_ELEMENTS(types)];
	struct answer a = answer_parse(
	    (struct str){ (const char *)data + 1, size - 1 }, type, &records);
	struct packet p = { .rest = buf_str(&records) };

	if (a.count > ANSWER_RECORDS || records.full ||
	    (a.status != ANSWER_OK && a.count > 0))
		abort();
	for (uint32_t i = 0; i < a.count; i++) {
		if (type == ANSWER_MX)
			(void)packet_get_u32(&p);
		struct str s = packet_get_str(&p, PACKET_MAX);

		if ((type == ANSWER_MX && s.n > 0) || type == ANSWER_PTR)
			if (!address_is_domain(s))
				abort();
	}
	if (!packet_end(&p))
		abort();
	return 0;
}
