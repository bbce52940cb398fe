/* SPDX-License-Identifier: ISC
 * doctor_dns: what the DNS must say of this host and its domains before the
 * first mail.  Runs in the sandbox of `postern doctor`; the answers are
 * strangers'.  Contract in doctor.h.
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include "common/address.h"
#include "common/clock.h"
#include "install/doctor.h"
#include "install/ownaddr.h"

enum {
	LOOKS = 8, /* until dnsd knows whether DNSSEC can be checked */
	LOOK_MS = 250,
	SLOW_MS = 2000 /* who takes so long does not answer at all */
};

static struct doctor *d;

static bool
is_own(const struct ip *ip)
{
	for (size_t i = 0; i < d->own_count; i++)
		if (ip_eq(&d->own[i], ip))
			return true;
	return false;
}

/* Behind a router that has the public address?  Of that family. */
static bool
has_public(bool v4)
{
	for (size_t i = 0; i < d->own_count; i++)
		if (ip_is_v4(&d->own[i]) == v4 && ownaddr_is_public(&d->own[i]))
			return true;
	return false;
}

static const struct ip *
first_own(bool v4)
{
	for (size_t i = 0; i < d->own_count; i++)
		if (ip_is_v4(&d->own[i]) == v4)
			return &d->own[i];
	return NULL;
}

/* ---- the resolver ---- */

/* Any answer about our own names will do: nobody else is asked. */
static void
resolver_test(void)
{
	struct ip list[DOCTOR_ADDRESSES];
	char names[1][DOCTOR_NAME];
	int64_t begun = clock_mono_ms();
	int n = ask_dns_addresses(str_of(d->me), list, N_ELEMENTS(list));

	/* an answer that it cannot tell is one of our zone's servers' */
	if (n < 0 && d->domain_count > 0 && clock_mono_ms() - begun < SLOW_MS)
		n = ask_dns_mx(str_of(d->domain[0]), names, 1);
	d->no_dns = n < 0;
	if (n < 0) {
		doctor_say(DOCTOR_FAIL, "resolver",
		    "the DNS servers do not answer about %s", d->me);
		doctor_fix("see that control/resolvers, or /etc/resolv.conf, "
			   "names a resolver that works; best one here:");
		doctor_type("apt-get install unbound");
		doctor_write("127.0.0.1", "resolvers");
		return;
	}
	doctor_say(DOCTOR_OK, "resolver", "answers, in %d ms",
	    (int)(clock_mono_ms() - begun));
	/* whether it validates is found out meanwhile */
	for (int i = 0; i < LOOKS && ask_dns_security() == 'u'; i++) {
		(void)poll(NULL, 0, LOOK_MS);
		(void)ask_dns_mx(str_of(d->me), names, 1);
	}
	if (ask_dns_security() == 'u') {
		doctor_say(DOCTOR_WARN, "dnssec",
		    "the DNS servers pass no signatures: answers cannot be "
		    "checked");
		doctor_fix("use a validating resolver on this host:");
		doctor_type("apt-get install unbound");
		doctor_write("127.0.0.1", "resolvers");
	} else {
		doctor_say(DOCTOR_OK, "dnssec", "answers are checked%s",
		    ask_dns_security() == 's' ? "; the zone of this host is "
						"signed"
					      : "");
	}
}

/* ---- the host's name ---- */

static void
publish_addresses(const char *name)
{
	const struct ip *four = first_own(true);
	const struct ip *six = first_own(false);

	doctor_fix("publish the addresses of this host:");
	if (has_public(true) || (four != NULL && !has_public(false)))
		doctor_type("%s. IN A %s", name,
		    has_public(true) ? doctor_ip(four) : "YOUR.PUBLIC.ADDRESS");
	if (has_public(false))
		doctor_type("%s. IN AAAA %s", name, doctor_ip(six));
}

/* One address that the name has. */
static bool
address_judge(const struct ip *ip)
{
	if (is_own(ip))
		return true;
	if (ip_is_v4(ip) && !has_public(true) && first_own(true) != NULL &&
	    ownaddr_is_public(ip)) {
		doctor_say(DOCTOR_WARN, "hostname",
		    "%s has %s, and this host has private addresses only: "
		    "right if a router hands port 25 of it on to here",
		    d->me, doctor_ip(ip));
		return true;
	}
	doctor_say(DOCTOR_FAIL, "hostname",
	    "%s has %s, which is no address of this host", d->me,
	    doctor_ip(ip));
	publish_addresses(d->me);
	return false;
}

/* A global IPv6 address that the name has not: mail leaves from it, and big
 * providers refuse it. */
static void
missing_six(bool has_six)
{
	const struct ip *six = first_own(false);

	if (has_six || !has_public(false) || six == NULL)
		return;
	doctor_say(DOCTOR_WARN, "hostname",
	    "this host has IPv6, and %s has no AAAA: mail may leave from an "
	    "address without a name",
	    d->me);
	doctor_fix("publish it (and its PTR), or turn IPv6 off:");
	doctor_type("%s. IN AAAA %s", d->me, doctor_ip(six));
}

static void
hostname_test(void)
{
	struct ip list[DOCTOR_ADDRESSES];
	int n = ask_dns_addresses(str_of(d->me), list, N_ELEMENTS(list));
	bool has_six = false;
	bool good = true;

	if (n <= 0) {
		doctor_say(DOCTOR_FAIL, "hostname", "%s %s", d->me,
		    n == 0 ? "has no address" : "gets no answer from the DNS");
		publish_addresses(d->me);
		return;
	}
	for (int i = 0; i < n; i++) {
		has_six = has_six || !ip_is_v4(&list[i]);
		if (address_judge(&list[i]))
			d->sending[d->sending_count++] = list[i];
		else
			good = false;
	}
	if (good)
		doctor_say(DOCTOR_OK, "hostname", "%s has %s%s%s", d->me,
		    doctor_ip(&list[0]), n > 1 ? " and " : "",
		    n > 1 ? doctor_ip(&list[n - 1]) : "");
	missing_six(has_six);
}

static void
helo_test(void)
{
	struct ip list[DOCTOR_ADDRESSES];

	if (str_ieq(str_of(d->me), str_of(d->helo)))
		return;
	int n = ask_dns_addresses(str_of(d->helo), list, N_ELEMENTS(list));
	if (n > 0) {
		doctor_say(DOCTOR_OK, "helo", "%s has %s", d->helo,
		    doctor_ip(&list[0]));
		return;
	}
	doctor_say(DOCTOR_FAIL, "helo",
	    "%s, which is said in EHLO, has no address", d->helo);
	doctor_fix("publish it, or remove control/helohost:");
	doctor_remove("helohost");
}

/* ---- the way back ---- */

static bool
confirms(const char *name, const struct ip *ip)
{
	struct ip list[DOCTOR_ADDRESSES];
	int n = ask_dns_addresses(str_of(name), list, N_ELEMENTS(list));

	for (int i = 0; i < n; i++)
		if (ip_eq(&list[i], ip))
			return true;
	return false;
}

static void
publish_ptr(const struct ip *ip)
{
	char text[96];
	struct buf reverse = BUF_ON(text);

	ask_dns_reverse(&reverse, ip);
	doctor_fix("have who gave you the address publish it (often a form of "
		   "the hoster's):");
	doctor_type("%.*s. IN PTR %s.", (int)reverse.n, reverse.p, d->me);
}

static void
ptr_test(const struct ip *ip)
{
	char names[4][DOCTOR_NAME];
	int n = ask_dns_ptr(ip, names, N_ELEMENTS(names));

	if (n <= 0) {
		doctor_say(DOCTOR_FAIL, "ptr",
		    n == 0 ? "%s has no name: many servers refuse its mail"
			   : "the DNS does not answer for the name of %s",
		    doctor_ip(ip));
		publish_ptr(ip);
		return;
	}
	for (int i = 0; i < n; i++)
		if (str_ieq(str_of(names[i]), str_of(d->me))) {
			doctor_say(DOCTOR_OK, "ptr", "%s is %s, and back",
			    doctor_ip(ip), d->me);
			return;
		}
	if (confirms(names[0], ip)) {
		doctor_say(DOCTOR_WARN, "ptr",
		    "%s is %s (and back), which is not control/me",
		    doctor_ip(ip), names[0]);
		doctor_fix("say that name in EHLO, or have the PTR changed:");
		doctor_write(names[0], "helohost");
		return;
	}
	doctor_say(DOCTOR_FAIL, "ptr",
	    "%s is %s, which does not have that address", doctor_ip(ip),
	    names[0]);
	publish_ptr(ip);
}

/* ---- MX ---- */

static bool
has_own_address(const char *host)
{
	struct ip list[DOCTOR_ADDRESSES];
	int n = ask_dns_addresses(str_of(host), list, N_ELEMENTS(list));
	for (int i = 0; i < n; i++)
		if (is_own(&list[i]))
			return true;
	return false;
}

static bool
leads_here(const char *host)
{
	return str_ieq(str_of(host), str_of(d->me)) || has_own_address(host);
}

static void
mx_fail(const char *domain, const char *found, const char *host)
{
	doctor_say(DOCTOR_FAIL, "mx", "%s %s%s", domain, found, host);
	doctor_fix("publish:");
	doctor_type("%s. IN MX 10 %s.", domain, d->me);
}

static void
mx_test(const char *domain)
{
	char names[DOCTOR_ADDRESSES][DOCTOR_NAME];
	int n = ask_dns_mx(str_of(domain), names, N_ELEMENTS(names));

	if (n < 0) {
		doctor_say(DOCTOR_FAIL, "mx",
		    "the DNS does not answer for the MX of %s", domain);
		doctor_fix("look whether its name servers work");
		return;
	}
	for (int i = 0; i < n; i++)
		if (leads_here(names[i])) {
			doctor_say(
			    DOCTOR_OK, "mx", "%s has %s", domain, names[i]);
			return;
		}
	if (n > 0 && names[0][0] == '\0')
		mx_fail(domain, "says that it takes no mail (RFC 7505)", "");
	else if (n > 0)
		mx_fail(domain, "has its mail sent elsewhere, to ", names[0]);
	else if (has_own_address(domain)) {
		doctor_say(DOCTOR_WARN, "mx",
		    "%s has no MX; its address is here, which is enough for "
		    "most",
		    domain);
		doctor_fix("publish:");
		doctor_type("%s. IN MX 10 %s.", domain, d->me);
	} else
		mx_fail(domain, "has no MX", "");
}

/* ---- all of it ---- */

static void
domains_test(void)
{
	for (size_t i = 0; i < d->domain_count; i++) {
		mx_test(d->domain[i]);
		doctor_spf(d, d->domain[i]);
		doctor_dmarc(d->domain[i]);
	}
	if (d->domain_count == 0)
		doctor_say(DOCTOR_SKIP, "mx",
		    "locals and virtualdomains name "
		    "no domain to look at");
	if (d->domains_left_out > 0)
		doctor_say(DOCTOR_SKIP, "mx",
		    "%zu more domains: only %d are "
		    "looked at",
		    d->domains_left_out, DOCTOR_DOMAINS);
}

void
doctor_names(struct doctor *facts)
{
	d = facts;
	resolver_test();
	if (d->no_dns) {
		doctor_say(DOCTOR_SKIP, "names",
		    "hostname, PTR, MX, SPF and DMARC: not without the DNS");
		return;
	}
	hostname_test();
	helo_test();
	for (size_t i = 0; i < d->sending_count; i++)
		ptr_test(&d->sending[i]);
	domains_test();
}
