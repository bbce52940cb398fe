/* SPDX-License-Identifier: ISC
 * Fuzzes route_parse: any bytes; what is taken lies within the line.
 */
#include <stdlib.h>

#include "send/route.h"
#include "tests/fuzz/within.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str line = { (const char *)data, size };
	struct route route;

	if (route_parse(line, &route) != NULL)
		return 0;
	check_within(line, route.domain);
	check_within(line, route.host);
	if (route.port == 0)
		abort();
	return 0;
}
