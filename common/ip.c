/* SPDX-License-Identifier: ISC
 * ip: contract in ip.h.  Pure.
 */
#include "common/ip.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

bool
ip_parse(struct str s, struct ip *ip)
{
	char text[INET6_ADDRSTRLEN];
	struct buf b = BUF_ON(text);
	buf_put(&b, s);
	const char *c = buf_cstr(&b);
	if (c == NULL)
		return false;
	if (inet_pton(AF_INET, c, ip->b + 12) == 1) {
		memcpy(ip->b, mapped, sizeof(mapped));
		return true;
	}
	return inet_pton(AF_INET6, c, ip->b) == 1;
}

bool
ip_is_v4(const struct ip *ip)
{
	return memcmp(ip->b, mapped, sizeof(mapped)) == 0;
}

bool
ip_eq(const struct ip *a, const struct ip *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

void
ip_put(struct buf *b, const struct ip *ip)
{
	char text[INET6_ADDRSTRLEN];

	if (!ip_is_v4(ip)) {
		buf_puts(b, inet_ntop(AF_INET6, ip->b, text, sizeof(text)));
		return;
	}
	/* what listen does for every connection: inet_ntop goes by way of
	 * snprintf */
	for (size_t i = 12; i < 16; i++) {
		if (i > 12)
			buf_putc(b, '.');
		buf_put_u64(b, ip->b[i]);
	}
}

bool
ip_from_sockaddr(
    const struct sockaddr_storage *ss, struct ip *ip, uint16_t *port)
{
	if (ss->ss_family == AF_INET) {
		struct sockaddr_in in;
		memcpy(&in, ss, sizeof(in));
		memcpy(ip->b, mapped, sizeof(mapped));
		memcpy(ip->b + 12, &in.sin_addr, 4);
		*port = ntohs(in.sin_port);
		return true;
	}
	if (ss->ss_family == AF_INET6) {
		struct sockaddr_in6 in6;
		memcpy(&in6, ss, sizeof(in6));
		memcpy(ip->b, &in6.sin6_addr, 16);
		*port = ntohs(in6.sin6_port);
		return true;
	}
	return false;
}

socklen_t
ip_to_sockaddr(const struct ip *ip, uint16_t port, struct sockaddr_storage *ss)
{
	memset(ss, 0, sizeof(*ss));
	if (ip_is_v4(ip)) {
		struct sockaddr_in in = { .sin_family = AF_INET,
			.sin_port = htons(port) };
		memcpy(&in.sin_addr, ip->b + 12, 4);
		memcpy(ss, &in, sizeof(in));
		return sizeof(in);
	}
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
		.sin6_port = htons(port) };
	memcpy(&in6.sin6_addr, ip->b, 16);
	memcpy(ss, &in6, sizeof(in6));
	return sizeof(in6);
}

/* qmail's "192.0.2.": the octets that are there, each with its dot. */
static bool
parse_dotted_prefix(struct str s, struct ip_net *net)
{
	memset(net, 0, sizeof(*net));
	memcpy(net->base.b, mapped, sizeof(mapped));
	size_t octets = 0;
	while (s.n > 0) {
		struct str octet;
		uint64_t v;
		if (octets == 4 || !str_cut(s, '.', &octet, &s) ||
		    !str_u64(octet, 255, &v))
			return false;
		net->base.b[12 + octets++] = (unsigned char)v;
	}
	net->bits = (unsigned)(96 + 8 * octets);
	return octets > 0;
}

bool
ip_net_parse(struct str s, struct ip_net *net)
{
	struct str base;
	struct str bits_text;
	uint64_t bits;
	if (str_ends(s, STR(".")))
		return parse_dotted_prefix(s, net);
	bool has_bits = str_cut(s, '/', &base, &bits_text);
	if (!ip_parse(base, &net->base))
		return false;
	bool v4 = ip_is_v4(&net->base) && str_find(base, ':') == base.n;
	if (!has_bits)
		bits = 128;
	else if (!str_u64(bits_text, v4 ? 32 : 128, &bits))
		return false;
	else if (v4)
		bits += 96;
	net->bits = (unsigned)bits;
	return true;
}

bool
ip_net_has(const struct ip_net *net, const struct ip *ip)
{
	size_t whole = net->bits / 8;
	unsigned rest = net->bits % 8;
	if (whole > 0 && memcmp(net->base.b, ip->b, whole) != 0)
		return false;
	if (rest == 0)
		return true;
	unsigned mask = 0xffu << (8 - rest) & 0xffu;
	return ((unsigned)(net->base.b[whole] ^ ip->b[whole]) & mask) == 0;
}
