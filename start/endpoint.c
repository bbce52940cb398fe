/* SPDX-License-Identifier: ISC
 * endpoint: contract in endpoint.h.
 */
#include "start/endpoint.h"

bool
endpoint_parse(struct str s, struct endpoint *out)
{
	struct str host;
	struct str port;
	uint64_t number;

	if (!str_rcut(s, ':', &host, &port) || !str_u64(port, 65535, &number) ||
	    number == 0)
		return false;
	bool bracketed =
	    host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
	if (bracketed)
		host = str_head(str_skip(host, 1), host.n - 2);
	if (str_eq(host, STR("*")) && !bracketed)
		host = STR("0.0.0.0");
	if (!ip_parse(host, &out->ip) || ip_is_v4(&out->ip) == bracketed)
		return false;
	out->port = (uint16_t)number;
	return true;
}

bool
endpoint_is_none(struct str s)
{
	return str_eq(s, STR("none"));
}
