/* SPDX-License-Identifier: ISC
 * spf: may an address send for a domain, as its SPF record says (RFC 7208)?  A
 * small reading for `postern doctor`: no macros, no ptr, no exists.  The
 * records are strangers' bytes; what is asked of the DNS is bounded as RFC 7208
 * 4.6.4 has it.  Pure but for the questions.
 */
#ifndef SPF_H
#define SPF_H

#include "common/ip.h"

enum spf_result {
	SPF_PASS,
	SPF_FAIL,
	SPF_SOFTFAIL,
	SPF_NEUTRAL,
	SPF_NONE,      /* no record */
	SPF_PERMERROR, /* several records, a wrong one, too many questions */
	SPF_TEMPERROR, /* the DNS did not answer */
	SPF_UNKNOWN    /* depends on what is not read here */
};

enum {
	SPF_RECORD = 1024, /* longer ones are PERMERROR */
	SPF_HOSTS = 16,	   /* addresses, or hosts, looked at of one answer */
	SPF_NAME = 256
};

/* Who asks the DNS.  Each returns the number of records, 0 for none or no such
 * name, or -1 when there is no answer now. */
struct spf_dns {
	void *arg;
	/* The records that begin with "v=spf1" (and end, or go on with a
	 * space), the first of them into text. */
	int (*record)(void *arg, struct str domain, struct buf *text);
	int (*addresses)(
	    void *arg, struct str name, struct ip *list, size_t max);
	int (*exchangers)(
	    void *arg, struct str domain, char (*names)[SPF_NAME], size_t max);
};

/* why: what decided it, for people ("ip4:192.0.2.0/24", "more than 10 DNS
 * questions"); emptied first. */
enum spf_result spf_check(
    const struct spf_dns *, struct ip ip, struct str domain, struct buf *why);
/* "pass", "fail" ... */
const char *spf_result_name(enum spf_result);

/* Does a TXT record begin as an SPF record does?  RFC 7208 4.5. */
bool spf_is_record(struct str txt);

#endif
