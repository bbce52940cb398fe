/* SPDX-License-Identifier: ISC
 * ownaddr: contract in ownaddr.h.
 */
#include "install/ownaddr.h"

#include <ifaddrs.h>
#include <netinet/in.h>
#include <string.h>

static bool
one_address(const struct ifaddrs *a, struct ip *ip)
{
	struct sockaddr_storage sa = { .ss_family = AF_UNSPEC };
	uint16_t port;

	if (a->ifa_addr == NULL)
		return false;
	size_t n =
	    a->ifa_addr->sa_family == AF_INET	 ? sizeof(struct sockaddr_in)
	    : a->ifa_addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
						 : 0;
	memcpy(&sa, a->ifa_addr, n);
	return n > 0 && ip_from_sockaddr(&sa, ip, &port);
}

static bool
is_among(const struct ip *list, size_t count, const struct ip *ip)
{
	for (size_t i = 0; i < count; i++)
		if (ip_eq(&list[i], ip))
			return true;
	return false;
}

size_t
ownaddr_list(struct ip *list, size_t max)
{
	struct ifaddrs *all;
	struct ip ip;
	size_t count = 0;

	if (getifaddrs(&all) < 0)
		return 0;
	for (const struct ifaddrs *a = all; a != NULL; a = a->ifa_next)
		if (count < max && one_address(a, &ip) &&
		    !is_among(list, count, &ip))
			list[count++] = ip;
	freeifaddrs(all);
	return count;
}

static bool
is_in(const struct ip *ip, const char *const *nets, size_t count)
{
	struct ip_net net;

	for (size_t i = 0; i < count; i++)
		if (ip_net_parse(str_of(nets[i]), &net) && ip_net_has(&net, ip))
			return true;
	return false;
}

bool
ownaddr_is_loopback(const struct ip *ip)
{
	static const char *const nets[] = { "127.0.0.0/8", "::1" };

	return is_in(ip, nets, N_ELEMENTS(nets));
}

bool
ownaddr_is_any(const struct ip *ip)
{
	static const char *const nets[] = { "0.0.0.0", "::" };

	return is_in(ip, nets, N_ELEMENTS(nets));
}

bool
ownaddr_is_public(const struct ip *ip)
{
	static const char *const nets[] = { "0.0.0.0/8", "10.0.0.0/8",
		"100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
		"172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
		"192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24",
		"203.0.113.0/24", "224.0.0.0/3" };
	static const char *const nets6[] = { "2001:db8::/32" };
	struct ip_net global;

	if (ip_is_v4(ip))
		return !is_in(ip, nets, N_ELEMENTS(nets));
	return ip_net_parse(STR("2000::/3"), &global) &&
	       ip_net_has(&global, ip) && !is_in(ip, nets6, N_ELEMENTS(nets6));
}

bool
ownaddr_has(const struct ip *ip)
{
	static struct ip list[OWNADDR_MAX];
	static size_t count;

	if (count == 0)
		count = ownaddr_list(list, N_ELEMENTS(list));
	return ownaddr_is_loopback(ip) || is_among(list, count, ip);
}
