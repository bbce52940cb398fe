/* SPDX-License-Identifier: ISC
 * doctor_policy: do SPF and DMARC let this host send?  Runs in the sandbox of
 * `postern doctor`; the records are strangers'.  Contract in doctor.h.
 */
#include "install/dmarc.h"
#include "install/doctor.h"
#include "install/spf.h"

enum {
	TEXTS = 32,
	PARENTS = 5 /* looked at for a DMARC record */
};

static struct dns_text texts[TEXTS];

static int
spf_record(void *arg, struct str domain, struct buf *text)
{
	int n = ask_dns_txt(domain, texts, N_ELEMENTS(texts));
	int found = 0;

	(void)arg;
	for (int i = 0; i < n; i++) {
		struct str s = { .p = texts[i].p, .n = texts[i].n };
		if (spf_is_record(s) && found++ == 0)
			buf_put(text, s);
	}
	return n < 0 ? -1 : found;
}

static int
spf_addresses(void *arg, struct str name, struct ip *list, size_t max)
{
	(void)arg;
	return ask_dns_addresses(name, list, max);
}

static int
spf_exchangers(
    void *arg, struct str domain, char (*names)[SPF_NAME], size_t max)
{
	_Static_assert((int)SPF_NAME == (int)DOCTOR_NAME, "one kind of name");
	(void)arg;
	return ask_dns_mx(domain, names, max);
}

static void
publish_spf(const char *domain)
{
	doctor_fix("publish one record that names this host, as:");
	doctor_type("%s. IN TXT \"v=spf1 mx -all\"", domain);
}

/* False: told. */
static bool
spf_passes(const char *domain, const struct ip *ip)
{
	static const struct spf_dns dns = { NULL, spf_record, spf_addresses,
		spf_exchangers };
	char text[256];
	struct buf why = BUF_ON(text);
	enum spf_result r = spf_check(&dns, *ip, str_of(domain), &why);

	if (r == SPF_PASS)
		return true;
	if (r == SPF_NONE) {
		doctor_say(DOCTOR_FAIL, "spf",
		    "%s has no SPF record: big providers refuse its mail",
		    domain);
		publish_spf(domain);
	} else if (r == SPF_UNKNOWN) {
		doctor_say(DOCTOR_WARN, "spf",
		    "what %s says of %s depends on macros, ptr or exists, "
		    "which are not read here",
		    domain, doctor_ip(ip));
		doctor_fix("ask a checker that reads all of SPF");
	} else {
		doctor_say(DOCTOR_FAIL, "spf", "%s gives %s for %s (%.*s)",
		    domain, spf_result_name(r), doctor_ip(ip), (int)why.n,
		    why.p);
		publish_spf(domain);
	}
	return false;
}

void
doctor_spf(const struct doctor *d, const char *domain)
{
	bool all = true;
	size_t tested = 0;

	for (size_t i = 0; i < d->sending_count && all; i++, tested++)
		all = spf_passes(domain, &d->sending[i]);
	if (tested == 0)
		doctor_say(DOCTOR_SKIP, "spf",
		    "%s: not before the addresses of this host are right",
		    domain);
	else if (all)
		doctor_say(DOCTOR_OK, "spf", "%s lets this host send", domain);
}

static enum dmarc_policy
dmarc_at(struct str domain, bool *answered)
{
	char text[DOCTOR_NAME + 8];
	struct buf name = BUF_ON(text);
	enum dmarc_policy found = DMARC_NO_RECORD;

	buf_puts(&name, "_dmarc.");
	buf_put(&name, domain);
	int n = ask_dns_txt(buf_str(&name), texts, N_ELEMENTS(texts));
	*answered = n >= 0;
	for (int i = 0; i < n && found == DMARC_NO_RECORD; i++)
		found = dmarc_parse(
		    (struct str){ .p = texts[i].p, .n = texts[i].n });
	return found;
}

/* Its own record, or that of a domain above it with at least one dot. */
void
doctor_dmarc(const char *domain)
{
	struct str at = str_of(domain);
	enum dmarc_policy p = DMARC_NO_RECORD;
	bool answered = true;

	for (int i = 0; i < PARENTS && answered && p == DMARC_NO_RECORD &&
			str_find(at, '.') < at.n;
	     i++) {
		p = dmarc_at(at, &answered);
		if (p == DMARC_NO_RECORD)
			at = str_skip(at, str_find(at, '.') + 1);
	}
	if (p > DMARC_WRONG) {
		doctor_say(DOCTOR_OK, "dmarc", "%s has policy %s (at %.*s)",
		    domain, dmarc_policy_name(p), (int)at.n, at.p);
		return;
	}
	doctor_say(p == DMARC_WRONG ? DOCTOR_FAIL : DOCTOR_WARN, "dmarc",
	    !answered	       ? "the DNS does not answer for the record of %s"
	    : p == DMARC_WRONG ? "the record of %s has no policy"
			       : "%s has no DMARC record",
	    domain);
	doctor_fix("publish:");
	doctor_type("_dmarc.%s. IN TXT \"v=DMARC1; p=none; "
		    "rua=mailto:postmaster@%s\"",
	    domain, domain);
}
