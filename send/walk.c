/* SPDX-License-Identifier: ISC
 * walk: see walk.h.
 */
#include "send/walk.h"

#include <string.h>
#include "common/address.h"
#include "send/mxlist.h"
#include "send/target.h"
#include "send/walkend.h"

enum { DNS_OK, DNS_NO_NAME, DNS_NO_RECORD, DNS_FAILED, DNS_BOGUS };
enum { FAMILY_AAAA, FAMILY_A };

/* Question 0 is the MX; then two for each host. */
static uint32_t
number_of(size_t host, size_t family)
{
	return (uint32_t)(1 + host * 2 + family);
}

static struct str
domain_of(const struct walk *w)
{
	return (struct str){ w->domain, w->domain_n };
}

static struct str
name_of(const struct walk_host *h)
{
	return (struct str){ h->name, h->name_n };
}

/* ---- hosts ---- */

static void
set_name(struct walk_host *h, struct str name)
{
	struct buf b = BUF_ON(h->name);

	buf_put_lower(&b, name);
	h->name_n = b.n;
}

static struct walk_host *
add_host(struct walk *w, struct str name, uint32_t preference)
{
	struct walk_host *h = &w->hosts[w->host_count++];

	*h = (struct walk_host){ .preference = preference };
	set_name(h, name);
	return h;
}

/* A host that is an address itself: nothing to ask. */
static void
add_literal(struct walk *w, struct str name, const struct ip *ip)
{
	struct walk_host *h = add_host(w, name, 0);

	h->family[FAMILY_AAAA].asked = WALK_ANSWERED;
	h->family[FAMILY_A].asked = WALK_ANSWERED;
	h->family[FAMILY_A].ips[0] = *ip;
	h->family[FAMILY_A].count = 1;
}

static void
open_group(struct walk *w, size_t first)
{
	w->group = w->group_end = first;
	while (w->group_end < w->host_count &&
	       w->hosts[w->group_end].preference == w->hosts[first].preference)
		w->group_end++;
	w->found_count = w->found_at = 0;
}

static bool
literal_ip(struct str domain, struct ip *ip)
{
	if (domain.n < 2 || domain.p[0] != '[' || domain.p[domain.n - 1] != ']')
		return false;
	struct str inside = { domain.p + 1, domain.n - 2 };
	if (str_istarts(inside, STR("IPv6:")))
		inside = str_skip(inside, 5);
	return ip_parse(inside, ip);
}

static void
reset(struct walk *w, const struct walk_world *world, struct str domain,
    uint64_t random)
{
	struct buf kept = BUF_ON(w->domain);

	/* hosts[], found[] and tried[] hold as much as their counts say */
	w->world = world;
	w->random = random | 1;
	w->routed = w->named = w->implicit = false;
	w->port = ROUTE_PORT;
	w->mx = WALK_ANSWERED;
	w->host_count = w->tried_count = 0;
	w->attempts = w->skipped = w->refused = 0;
	w->self = w->failed_dns = w->bogus = w->over = false;
	w->text_n = 0;
	buf_put_lower(&kept, str_head(domain, sizeof(w->domain)));
	w->domain_n = kept.n;
}

/* To this host and no other. */
static void
go_to(struct walk *w, struct str host)
{
	struct ip ip;

	w->routed = true;
	if (ip_parse(host, &ip))
		add_literal(w, host, &ip);
	else
		add_host(w, host, 0);
}

void
walk_begin(struct walk *w, const struct walk_world *world, struct str domain,
    uint64_t random)
{
	struct str host;
	struct ip ip;

	reset(w, world, domain, random);
	if (routes_find(world->routes, domain_of(w), &host, &w->port))
		go_to(w, host);
	else if (literal_ip(domain_of(w), &ip))
		add_literal(w, domain_of(w), &ip);
	else if (address_is_domain(domain_of(w)))
		w->mx = WALK_UNASKED;
	else
		walk_end(
		    w, VERDICT_FAIL, STR("5.1.2 the domain is no domain name"));
	open_group(w, 0);
}

void
walk_begin_at(struct walk *w, const struct walk_world *world, struct str host,
    uint16_t port, uint64_t random)
{
	reset(w, world, host, random);
	w->named = true;
	w->port = port;
	go_to(w, domain_of(w));
	open_group(w, 0);
}

void
walk_tried(struct walk *w, const struct ip *ip)
{
	if (w->tried_count < WALK_TRIED)
		w->tried[w->tried_count++] = *ip;
}

/* ---- answers ---- */

static void
take_mxs(struct walk *w, struct packet *p)
{
	struct mx mxs[MXLIST_MAX];
	size_t n;

	switch (mxlist_take(p, &w->random, mxs, &n)) {
	case MXLIST_BAD:
		w->failed_dns = true;
		return;
	case MXLIST_NULL:
		walkend_with(w, VERDICT_FAIL, "5.1.10 ", " takes no mail");
		return;
	case MXLIST_OK:
		break;
	}
	for (size_t i = 0; i < n && i < WALK_HOSTS; i++)
		add_host(w, mxs[i].host, mxs[i].preference);
	w->cut = n > WALK_HOSTS;
	open_group(w, 0);
}

static void
take_mx_answer(struct walk *w, unsigned status, struct packet *p)
{
	w->mx = WALK_ANSWERED;
	switch (status) {
	case DNS_OK:
		take_mxs(w, p);
		break;
	case DNS_NO_NAME:
		walkend_with(w, VERDICT_FAIL, "5.1.2 there is no domain ", "");
		break;
	case DNS_NO_RECORD: /* RFC 5321 5.1: the implicit MX */
		w->implicit = true;
		add_host(w, domain_of(w), 0);
		open_group(w, 0);
		break;
	case DNS_BOGUS:
		w->bogus = true;
		break;
	default:
		w->failed_dns = true;
	}
}

static bool
take_ip(struct packet *p, size_t family, struct ip *ip)
{
	struct str raw = packet_get_str(p, sizeof(ip->b));

	*ip = (struct ip){ .b = { [10] = 0xff, [11] = 0xff } };
	if (p->bad || raw.n != (family == FAMILY_A ? 4 : sizeof(ip->b)))
		return false;
	memcpy(ip->b + sizeof(ip->b) - raw.n, raw.p, raw.n);
	return true;
}

static void
take_ips(struct walk *w, size_t host, size_t family, struct packet *p)
{
	struct walk_host *h = &w->hosts[host];
	uint32_t n = packet_get_u32(p);
	struct ip ip;

	for (uint32_t i = 0; i < n && i < MXLIST_MAX; i++) {
		if (!take_ip(p, family, &ip)) {
			w->failed_dns = true;
			return;
		}
		if (h->family[family].count < WALK_PER_HOST)
			h->family[family].ips[h->family[family].count++] = ip;
	}
}

void
walk_answer(struct walk *w, uint32_t number, struct packet *p)
{
	unsigned status = packet_get_u8(p);
	(void)packet_get_u8(p);	 /* security: for DANE, one day */
	(void)packet_get_u32(p); /* ttl: dnsd is the cache */

	if (p->bad)
		status = DNS_FAILED;
	if (number == 0) {
		if (w->mx == WALK_WAITING)
			take_mx_answer(w, status, p);
		return;
	}
	size_t host = (number - 1) / 2, family = (number - 1) % 2;
	if (host >= w->host_count ||
	    w->hosts[host].family[family].asked != WALK_WAITING)
		return;
	w->hosts[host].family[family].asked = WALK_ANSWERED;
	if (status == DNS_OK)
		take_ips(w, host, family, p);
	else if (status == DNS_BOGUS)
		w->bogus = true;
	else if (status != DNS_NO_NAME && status != DNS_NO_RECORD)
		w->failed_dns = true;
}

/* ---- questions ---- */

bool
walk_question(struct walk *w, struct walk_question *q)
{
	if (w->over)
		return false;
	if (w->mx == WALK_UNASKED) {
		w->mx = WALK_WAITING;
		*q = (struct walk_question){
			.number = 0, .type = WALK_MX, .name = domain_of(w)
		};
		return true;
	}
	for (size_t i = w->group; i < w->group_end; i++)
		for (size_t f = 0; f < 2; f++) {
			struct walk_host *h = &w->hosts[i];

			if (h->family[f].asked != WALK_UNASKED)
				continue;
			h->family[f].asked = WALK_WAITING;
			*q = (struct walk_question){ .number = number_of(i, f),
				.type = f == FAMILY_A ? WALK_A : WALK_AAAA,
				.name = name_of(h) };
			return true;
		}
	return false;
}

void
walk_unask(struct walk *w, uint32_t number)
{
	if (number == 0) {
		if (w->mx == WALK_WAITING)
			w->mx = WALK_UNASKED;
		return;
	}
	size_t host = (number - 1) / 2, family = (number - 1) % 2;
	if (host < w->host_count &&
	    w->hosts[host].family[family].asked == WALK_WAITING)
		w->hosts[host].family[family].asked = WALK_UNASKED;
}

void
walk_unask_all(struct walk *w)
{
	walk_unask(w, 0);
	for (size_t i = 0; i < w->host_count; i++) {
		walk_unask(w, number_of(i, FAMILY_AAAA));
		walk_unask(w, number_of(i, FAMILY_A));
	}
}

/* ---- addresses ---- */

static bool
is_own_ip(const struct walk_world *world, const struct ip *ip)
{
	for (size_t i = 0; i < world->own_ip_count; i++)
		if (ip_eq(&world->own_ips[i], ip))
			return true;
	return false;
}

static bool
is_self(const struct walk *w, const struct walk_host *h)
{
	for (size_t i = 0; i < N_ELEMENTS(w->world->own_names); i++)
		if (h->name_n > 0 &&
		    str_ieq(w->world->own_names[i], name_of(h)))
			return true;
	for (size_t f = 0; f < 2; f++)
		for (size_t i = 0; i < h->family[f].count; i++)
			if (is_own_ip(w->world, &h->family[f].ips[i]))
				return true;
	return false;
}

static bool
is_refused(const struct walk *w, const struct ip *ip)
{
	if (target_is_special(ip) || is_own_ip(w->world, ip))
		return true;
	for (size_t i = 0; i < w->world->refused_count; i++)
		if (ip_net_has(&w->world->refused[i], ip))
			return true;
	return false;
}

static void
consider(struct walk *w, size_t host, const struct ip *ip)
{
	for (size_t i = 0; i < w->tried_count; i++)
		if (ip_eq(&w->tried[i], ip)) {
			w->skipped++;
			return;
		}
	if (!w->routed && is_refused(w, ip)) {
		w->refused++;
		return;
	}
	if (w->found_count < WALK_ATTEMPTS) {
		w->found[w->found_count].ip = *ip;
		w->found[w->found_count++].host = host;
	}
}

/* Families take turns, so that one that does not work costs little. */
static void
consider_host(struct walk *w, size_t host)
{
	const struct walk_host *h = &w->hosts[host];

	for (size_t i = 0; i < WALK_PER_HOST; i++)
		for (size_t f = 0; f < 2; f++)
			if (i < h->family[f].count)
				consider(w, host, &h->family[f].ips[i]);
}

static bool
group_answered(const struct walk *w)
{
	for (size_t i = w->group; i < w->group_end; i++)
		for (size_t f = 0; f < 2; f++)
			if (w->hosts[i].family[f].asked != WALK_ANSWERED)
				return false;
	return true;
}

/* The group's addresses are known: finds those to try.  False: this host is
 * among them, and the walk must not go on. */
static bool
enter_group(struct walk *w)
{
	for (size_t i = w->group; i < w->group_end && !w->routed; i++)
		if (is_self(w, &w->hosts[i])) {
			w->self = true;
			return false;
		}
	for (size_t i = w->group; i < w->group_end; i++)
		consider_host(w, i);
	return true;
}

enum walk_step
walk_next(struct walk *w, struct walk_target *target)
{
	while (!w->over) {
		if (w->mx != WALK_ANSWERED)
			return WALK_ASK;
		if (w->found_at < w->found_count &&
		    w->attempts < WALK_ATTEMPTS) {
			*target = (struct walk_target){
				.ip = w->found[w->found_at].ip,
				.host = name_of(
				    &w->hosts[w->found[w->found_at].host]),
				.port = w->port,
			};
			w->found_at++;
			return WALK_CONNECT;
		}
		if (w->found_count > 0 || w->attempts >= WALK_ATTEMPTS)
			open_group(w, w->group_end);
		if (w->group == w->group_end || w->attempts >= WALK_ATTEMPTS) {
			walkend_addresses(w);
			break;
		}
		if (!group_answered(w))
			return WALK_ASK;
		if (!enter_group(w)) {
			walkend_addresses(w);
			break;
		}
		if (w->found_count == 0)
			open_group(w, w->group_end);
	}
	return WALK_OVER;
}
