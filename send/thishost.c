/* SPDX-License-Identifier: ISC
 * thishost: see thishost.h.
 */
#include "send/thishost.h"

#include <sys/socket.h>
#include "common/io.h"

static bool
can_bind(const struct ip *ip)
{
	struct sockaddr_storage local;
	socklen_t n = ip_to_sockaddr(ip, 0, &local);
	int fd = socket(local.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool bound = fd >= 0 && bind(fd, (struct sockaddr *)&local, n) == 0;

	io_close(&fd);
	return bound;
}

/* Only an address of this host can be bound, unless ip_nonlocal_bind is set:
 * then documentation addresses can be, too.  dial knows the addresses that were
 * there when it started; this finds the later ones. */
bool
thishost_has(const struct ip *ip)
{
	static const struct ip nobodys[2] = {
		{ { [10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, 1 } },
		{ { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } },
	};

	return can_bind(ip) && !can_bind(&nobodys[ip_is_v4(ip) ? 0 : 1]);
}
