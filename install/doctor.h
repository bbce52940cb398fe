/* SPDX-License-Identifier: ISC
 * doctor: the parts of `postern doctor`.  What needs root or files comes first;
 * then the process becomes an unprivileged user, enters a sandbox, and asks the
 * DNS and other hosts, whose bytes are strangers'.
 */
#ifndef DOCTOR_H
#define DOCTOR_H

#include "common/control.h"
#include "common/ip.h"
#include "common/limits.h"

enum doctor_level { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL, DOCTOR_SKIP };

enum {
	DOCTOR_DOMAINS = 100, /* of ours, looked at */
	DOCTOR_ADDRESSES = 16,
	DOCTOR_NAME = LIMIT_DOMAIN + 1
};

/* ---- doctor_say.c: findings ---- */

/* --json: an object each. */
void doctor_say_init(bool json);
/* A finding; the one before it is printed.  test is a word. */
__attribute__((format(printf, 3, 4))) void doctor_say(
    enum doctor_level, const char *test, const char *found, ...);
/* What to do about it: prose. */
__attribute__((format(printf, 1, 2))) void doctor_fix(const char *format, ...);
/* What to publish or to type, on a line of its own and never broken. */
__attribute__((format(printf, 1, 2))) void doctor_type(const char *format, ...);
/* Commands about a setting: to write it, and to remove its file. */
void doctor_write(const char *value, const char *setting);
void doctor_remove(const char *setting);
/* An address as text; the last two stay. */
const char *doctor_ip(const struct ip *);
/* Prints the last finding and the sum; the exit code. */
int doctor_end(void);

/* ---- what is known of this host before the sandbox ---- */

struct doctor {
	char me[CONTROL_LINE_MAX], helo[CONTROL_LINE_MAX];
	char domain[DOCTOR_DOMAINS][DOCTOR_NAME]; /* ours */
	size_t domain_count, domains_left_out;
	struct ip own[DOCTOR_ADDRESSES]; /* but loopback and link-local */
	size_t own_count;
	/* those that the name of this host has: mail leaves from there */
	struct ip sending[DOCTOR_ADDRESSES];
	size_t sending_count;
	bool listens_25;       /* smtplisten names port 25 */
	bool leaves_25;	       /* it says none: to others, or to nobody */
	bool held_25;	       /* somebody listens there (doctor_other_mta) */
	bool no_dns;	       /* it does not answer (doctor_names) */
	bool runs;	       /* the suite does */
	char out[DOCTOR_NAME]; /* whose MX is connected to; empty: none */
	uint16_t out_port;     /* of a smarthost; 0: by MX */
	bool is_smarthost;
};

/* doctor_facts.c.  Reads the settings; out: a domain of the caller's choice, or
 * NULL. */
void doctor_facts(struct doctor *, int control_dirfd, const char *out);

/* doctor_host.c: this machine. */
void doctor_clock(void);
void doctor_disk(void);
void doctor_hosts_file(const struct doctor *);
void doctor_service(const struct doctor *);
void doctor_other_mta(struct doctor *);

/* doctor_dns.c: names, in the sandbox. */
void doctor_names(struct doctor *);
/* doctor_policy.c: SPF and DMARC of a domain, in the sandbox. */
void doctor_spf(const struct doctor *, const char *domain);
void doctor_dmarc(const char *domain);
/* doctor_port.c: port 25, in the sandbox. */
void doctor_port_in(const struct doctor *);
void doctor_port_out(const struct doctor *);

/* ---- ask_dns.c: a dnsd of our own ---- */

enum { ASK_DNS_ANSWERS = 16 };

struct dns_text {
	char p[4096];
	size_t n;
};

/* Runs postern-dnsd, which enters its own sandbox.  False: why. */
bool ask_dns_init(const char **why);
/* Each returns the number of records, at most max (0: none, or no such name),
 * or -1: no answer in time, or a wrong one. */
int ask_dns_addresses(struct str name, struct ip *list, size_t max);
int ask_dns_mx(struct str domain, char (*names)[DOCTOR_NAME], size_t max);
int ask_dns_ptr(const struct ip *, char (*names)[DOCTOR_NAME], size_t max);
int ask_dns_txt(struct str name, struct dns_text *texts, size_t max);
/* Of the last answer: did DNSSEC vouch for it ('s'), not ('i'), or does nobody
 * look ('u')? */
char ask_dns_security(void);
/* Puts the name that the PTR record of an address has. */
void ask_dns_reverse(struct buf *, const struct ip *);

#endif
