/* SPDX-License-Identifier: ISC
 * Fuzzes route_parse: any bytes; what is taken lies within the line.
 */
#include <stdlib.h>

#include "send/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_within(struct str line, struct str part)
{
	if (part.n > 0 &&
	    (part.p < line.p || part.p + part.n > line.p + line.n))
		abort();
}

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
