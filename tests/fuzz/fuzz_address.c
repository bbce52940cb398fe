/* SPDX-License-Identifier: ISC
 * Fuzz harness of common/address: what parses has a canonical form that parses
 * to itself and is not longer than what was written.
 */
#include <stdlib.h>
#include "common/address.h"
#include "common/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = { .p = (const char *)data, .n = size };
	char first[LIMIT_ADDRESS], second[LIMIT_ADDRESS];
	struct buf one = BUF_ON(first), two = BUF_ON(second);
	struct address a, b, split;

	(void)address_is_domain(in);
	(void)address_is_literal(in);
	(void)address_split(in);
	address_put_unquoted(&two, in);
	buf_reset(&two);
	if (address_parse(in, true, &a) != ADDRESS_OK)
		return 0;
	address_put(&one, a);
	if (one.full || buf_str(&one).n > in.n ||
	    address_parse(buf_str(&one), true, &b) != ADDRESS_OK)
		abort();
	split = address_split(buf_str(&one));
	address_put(&two, b);
	if (!str_eq(buf_str(&one), buf_str(&two)) ||
	    !str_eq(split.local, b.local) || !str_eq(split.domain, b.domain))
		abort();
	return 0;
}
