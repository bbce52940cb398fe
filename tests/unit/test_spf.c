/* SPDX-License-Identifier: ISC
 * spf.c and dmarc.c: records against a small DNS of our own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "install/dmarc.h"
#include "install/spf.h"

static const struct {
	const char *name, *type, *value;
} zone[] = {
	{ "plain.test", "TXT", "v=spf1 ip4:192.0.2.0/24 -all" },
	{ "upper.test", "TXT", "V=SPF1 IP4:192.0.2.1 -ALL" },
	{ "soft.test", "TXT", "v=spf1 ~all" },
	{ "neutral.test", "TXT", "v=spf1 ?all" },
	{ "open.test", "TXT", "v=spf1" },
	{ "a.test", "TXT", "v=spf1 a -all" },
	{ "a.test", "A", "192.0.2.1" },
	{ "mx.test", "TXT", "v=spf1 mx -all" },
	{ "mx.test", "MX", "a.test" },
	{ "anet.test", "TXT", "v=spf1 a:a.test/24 -all" },
	{ "six.test", "TXT", "v=spf1 ip6:2001:db8::/32 -all" },
	{ "a6.test", "TXT", "v=spf1 a:host6.test//64 -all" },
	{ "host6.test", "A", "2001:db8::1" },
	{ "inc.test", "TXT", "v=spf1 include:plain.test -all" },
	{ "incno.test", "TXT", "v=spf1 include:soft.test ip4:192.0.2.1 -all" },
	{ "incq.test", "TXT", "v=spf1 -include:plain.test +all" },
	{ "deep.test", "TXT", "v=spf1 include:inc.test -all" },
	{ "redirect.test", "TXT", "v=spf1 redirect=plain.test" },
	{ "late.test", "TXT", "v=spf1 redirect=plain.test ~all" },
	{ "incnone.test", "TXT", "v=spf1 include:nothing.test -all" },
	{ "loop.test", "TXT", "v=spf1 include:loop.test -all" },
	{ "turn.test", "TXT", "v=spf1 redirect=turn.test" },
	{ "two.test", "TXT", "v=spf1 -all" },
	{ "two.test", "TXT", "v=spf1 +all" },
	{ "typo.test", "TXT", "v=spf1 ipv4:192.0.2.1 -all" },
	{ "bad4.test", "TXT", "v=spf1 ip4:192.0.2.300 -all" },
	{ "bad6.test", "TXT", "v=spf1 ip4:2001:db8::1 -all" },
	{ "badbits.test", "TXT", "v=spf1 a/33 -all" },
	{ "badbits6.test", "TXT", "v=spf1 a//129 -all" },
	{ "empty.test", "TXT", "v=spf1 include: -all" },
	{ "macro.test", "TXT", "v=spf1 include:%{d}.x.test -all" },
	{ "exists.test", "TXT", "v=spf1 exists:%{i}.x.test -all" },
	{ "ptr.test", "TXT", "v=spf1 ptr -all" },
	{ "ptrpass.test", "TXT", "v=spf1 ptr ip4:192.0.2.1 -all" },
	{ "unknown.test", "TXT", "v=spf1 note=hello ip4:192.0.2.1 -all" },
	{ "void.test", "TXT", "v=spf1 a:n1.test a:n2.test a:n3.test +all" },
	{ "many.test", "TXT",
	    "v=spf1 a:a.test/0 ?a:b.test a:a.test a:a.test a:a.test a:a.test "
	    "-all" },
	{ "eleven.test", "TXT",
	    "v=spf1 a:host6.test a:host6.test a:host6.test a:host6.test "
	    "a:host6.test a:host6.test a:host6.test a:host6.test a:host6.test "
	    "a:host6.test a:host6.test +all" },
	{ "lame.test", "FAIL", "" },
	{ "inclame.test", "TXT", "v=spf1 include:lame.test -all" },
};

static bool
is(size_t i, const char *type, struct str name)
{
	return strcmp(zone[i].type, type) == 0 &&
	       str_ieq(str_of(zone[i].name), name);
}

static int
fails(struct str name)
{
	for (size_t i = 0; i < N_ELEMENTS(zone); i++)
		if (is(i, "FAIL", name))
			return 1;
	return 0;
}

static int
record(void *arg, struct str name, struct buf *text)
{
	int n = 0;

	(void)arg;
	for (size_t i = 0; i < N_ELEMENTS(zone); i++)
		if (is(i, "TXT", name) && spf_is_record(str_of(zone[i].value)))
			if (n++ == 0)
				buf_puts(text, zone[i].value);
	return fails(name) ? -1 : n;
}

static int
addresses(void *arg, struct str name, struct ip *list, size_t max)
{
	int n = 0;

	(void)arg;
	for (size_t i = 0; i < N_ELEMENTS(zone) && (size_t)n < max; i++)
		if (is(i, "A", name))
			assert_true(
			    ip_parse(str_of(zone[i].value), &list[n++]));
	return fails(name) ? -1 : n;
}

static int
exchangers(void *arg, struct str name, char (*names)[SPF_NAME], size_t max)
{
	int n = 0;

	(void)arg;
	for (size_t i = 0; i < N_ELEMENTS(zone) && (size_t)n < max; i++)
		if (is(i, "MX", name))
			strncpy(names[n++], zone[i].value, SPF_NAME - 1);
	return n;
}

static void
results(void **state)
{
	static const struct spf_dns dns = { NULL, record, addresses,
		exchangers };
	static const struct {
		const char *domain, *ip;
		enum spf_result result;
	} table[] = {
		{ "plain.test", "192.0.2.7", SPF_PASS },
		{ "plain.test", "198.51.100.1", SPF_FAIL },
		{ "plain.test", "2001:db8::1", SPF_FAIL },
		{ "upper.test", "192.0.2.1", SPF_PASS },
		{ "soft.test", "192.0.2.1", SPF_SOFTFAIL },
		{ "neutral.test", "192.0.2.1", SPF_NEUTRAL },
		{ "open.test", "192.0.2.1", SPF_NEUTRAL },
		{ "nothing.test", "192.0.2.1", SPF_NONE },
		{ "a.test", "192.0.2.1", SPF_PASS },
		{ "a.test", "192.0.2.2", SPF_FAIL },
		{ "mx.test", "192.0.2.1", SPF_PASS },
		{ "mx.test", "192.0.2.2", SPF_FAIL },
		{ "anet.test", "192.0.2.200", SPF_PASS },
		{ "anet.test", "192.0.3.1", SPF_FAIL },
		{ "six.test", "2001:db8:5::1", SPF_PASS },
		{ "six.test", "192.0.2.1", SPF_FAIL },
		{ "a6.test", "2001:db8::77", SPF_PASS },
		{ "a6.test", "2001:db8:1::1", SPF_FAIL },
		{ "inc.test", "192.0.2.1", SPF_PASS },
		{ "inc.test", "203.0.113.1", SPF_FAIL },
		{ "incno.test", "192.0.2.1", SPF_PASS },
		{ "incq.test", "192.0.2.1", SPF_FAIL },
		{ "incq.test", "203.0.113.1", SPF_PASS },
		{ "deep.test", "192.0.2.1", SPF_PASS },
		{ "deep.test", "203.0.113.1", SPF_FAIL },
		{ "redirect.test", "192.0.2.1", SPF_PASS },
		{ "redirect.test", "203.0.113.1", SPF_FAIL },
		{ "late.test", "192.0.2.1", SPF_SOFTFAIL },
		{ "incnone.test", "192.0.2.1", SPF_PERMERROR },
		{ "loop.test", "192.0.2.1", SPF_PERMERROR },
		{ "turn.test", "192.0.2.1", SPF_PERMERROR },
		{ "two.test", "192.0.2.1", SPF_PERMERROR },
		{ "typo.test", "192.0.2.1", SPF_PERMERROR },
		{ "bad4.test", "192.0.2.1", SPF_PERMERROR },
		{ "bad6.test", "192.0.2.1", SPF_PERMERROR },
		{ "badbits.test", "192.0.2.1", SPF_PERMERROR },
		{ "badbits6.test", "192.0.2.1", SPF_PERMERROR },
		{ "empty.test", "192.0.2.1", SPF_PERMERROR },
		{ "macro.test", "192.0.2.1", SPF_UNKNOWN },
		{ "exists.test", "192.0.2.1", SPF_UNKNOWN },
		{ "ptr.test", "192.0.2.1", SPF_UNKNOWN },
		{ "ptrpass.test", "192.0.2.1", SPF_PASS },
		{ "unknown.test", "192.0.2.1", SPF_PASS },
		{ "void.test", "192.0.2.1", SPF_PERMERROR },
		{ "many.test", "192.0.2.1", SPF_PASS },
		{ "eleven.test", "192.0.2.1", SPF_PERMERROR },
		{ "lame.test", "192.0.2.1", SPF_TEMPERROR },
		{ "inclame.test", "192.0.2.1", SPF_TEMPERROR },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(table); i++) {
		char text[128];
		struct buf why = BUF_ON(text);
		struct ip ip;
		assert_true(ip_parse(str_of(table[i].ip), &ip));
		enum spf_result r =
		    spf_check(&dns, ip, str_of(table[i].domain), &why);
		if (r != table[i].result)
			fail_msg("%s for %s: %s (%.*s)", table[i].domain,
			    table[i].ip, spf_result_name(r), (int)why.n, why.p);
	}
}

static void
versions(void **state)
{
	(void)state;
	assert_true(spf_is_record(STR("v=spf1")));
	assert_true(spf_is_record(STR("v=spf1 -all")));
	assert_false(spf_is_record(STR("v=spf10 -all")));
	assert_false(spf_is_record(STR("v=spf2.0/pra")));
	assert_false(spf_is_record(STR(" v=spf1")));
	assert_false(spf_is_record(STR("")));
}

static void
policies(void **state)
{
	static const struct {
		const char *text;
		enum dmarc_policy policy;
	} table[] = {
		{ "v=DMARC1; p=none", DMARC_NONE },
		{ "v=DMARC1;p=reject;rua=mailto:x@y.test", DMARC_REJECT },
		{ " v = DMARC1 ; sp=none; p = Quarantine ;", DMARC_QUARANTINE },
		{ "v=DMARC1", DMARC_WRONG },
		{ "v=DMARC1; p=", DMARC_WRONG },
		{ "v=DMARC1; p=maybe", DMARC_WRONG },
		{ "v=DMARC1; sp=none", DMARC_WRONG },
		{ "p=none; v=DMARC1", DMARC_NO_RECORD },
		{ "v=dmarc1; p=none", DMARC_NO_RECORD },
		{ "v=spf1 -all", DMARC_NO_RECORD },
		{ "", DMARC_NO_RECORD },
	};

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(table); i++)
		assert_int_equal(
		    dmarc_parse(str_of(table[i].text)), table[i].policy);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(results),
		cmocka_unit_test(versions),
		cmocka_unit_test(policies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
