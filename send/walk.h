/* SPDX-License-Identifier: ISC
 * walk: the way of one request from a domain to an address to connect to: route
 * or MX by preference, equal ones shuffled, each host's addresses in turn (RFC
 * 5321 5.1, RFC 7505).  Pure: DNS answers and failures go in, questions,
 * addresses and at the end a verdict come out.
 *
 * Hosts are resolved a preference at a time: only then is it known that this
 * host is not among them, and only strictly better ones may be tried.
 */
#ifndef WALK_H
#define WALK_H

#include "common/ip.h"
#include "common/limits.h"
#include "common/packet.h"
#include "common/verdict.h"
#include "send/route.h"

enum {
	WALK_HOSTS = 16,    /* MX hosts looked at, the most preferred */
	WALK_PER_HOST = 8,  /* addresses of a family kept of a host */
	WALK_ATTEMPTS = 20, /* addresses tried in one request */
	WALK_TRIED = 64	    /* addresses that qmgr may name as tried */
};

enum walk_dns_type { WALK_A = 1, WALK_MX = 15, WALK_AAAA = 28 };

/* What holds for every request. */
struct walk_world {
	const struct routes *routes;
	struct str own_names[2];
	const struct ip *own_ips;
	size_t own_ip_count;
	const struct ip_net *refused;
	size_t refused_count;
};

enum walk_asked { WALK_UNASKED, WALK_WAITING, WALK_ANSWERED };

struct walk_host {
	uint32_t preference;
	struct {
		enum walk_asked asked;
		size_t count;
		struct ip ips[WALK_PER_HOST];
	} family[2]; /* AAAA, A */
	size_t name_n;
	char name[LIMIT_DOMAIN];
};

struct walk {
	const struct walk_world *world;
	uint64_t random; /* state; never 0 */
	bool routed, implicit;
	bool named; /* by walk_begin_at */
	uint16_t port;
	enum walk_asked mx;
	struct walk_host hosts[WALK_HOSTS];
	size_t host_count, group, group_end; /* hosts of equal preference */
	struct {
		struct ip ip;
		size_t host;
	} found[WALK_ATTEMPTS]; /* of this group */
	size_t found_count, found_at;
	struct ip tried[WALK_TRIED];
	size_t tried_count;

	unsigned attempts, skipped, refused; /* addresses */
	bool cut; /* there were more than WALK_HOSTS */
	bool self, failed_dns, bogus, over;
	enum verdict verdict;
	size_t domain_n, text_n;
	char domain[LIMIT_DOMAIN + 2];
	char text[LIMIT_REPORT];
};

struct walk_question {
	uint32_t number;
	enum walk_dns_type type;
	struct str name;
};

struct walk_target {
	struct str host;
	struct ip ip;
	uint16_t port;
};

enum walk_step {
	WALK_ASK,     /* there are questions, or answers to come */
	WALK_CONNECT, /* *target is to be tried */
	WALK_OVER     /* verdict and text are set */
};

/* Begins for domain (a name, or a literal as in an address).  tried[] is filled
 * by walk_tried.  world is borrowed. */
void walk_begin(struct walk *, const struct walk_world *, struct str domain,
    uint64_t random);
/* The same for one host at one port, whatever its addresses are: a name or an
 * IP address, as smtproutes may name one. */
void walk_begin_at(struct walk *, const struct walk_world *, struct str host,
    uint16_t port, uint64_t random);
/* An address that must not be tried again; more than WALK_TRIED: ignored. */
void walk_tried(struct walk *, const struct ip *);
enum walk_step walk_next(struct walk *, struct walk_target *target);
/* A question that was not asked yet; it counts as asked once returned. */
bool walk_question(struct walk *, struct walk_question *);
/* dnsd's answer behind its key: status, security, ttl, records.  What is not
 * awaited, or malformed, counts as a failure of DNS. */
void walk_answer(struct walk *, uint32_t number, struct packet *);
/* The question was not sent, or dnsd is new: ask again. */
void walk_unask(struct walk *, uint32_t number);
void walk_unask_all(struct walk *);
/* The last target did not work. */
void walk_failed(struct walk *, const struct walk_target *, const char *why);
/* The last target turned out to be this very host. */
void walk_met_self(struct walk *);
/* Ends the walk from outside. */
void walk_end(struct walk *, enum verdict, struct str text);

#endif
