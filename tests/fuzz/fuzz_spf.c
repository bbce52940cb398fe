/* SPDX-License-Identifier: ISC
 * Fuzzes spf_check and dmarc_parse: the input is the records of the DNS, a line
 * for each domain that is asked in turn.  It ends, with bounded questions.
 */
#include <stdlib.h>
#include "install/dmarc.h"
#include "install/spf.h"

enum { QUESTIONS_MAX = 256 };

static struct str all, rest;
static unsigned questions;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
record(void *arg, struct str domain, struct buf *text)
{
	struct str line;

	(void)arg;
	if (domain.n == 0 || ++questions > QUESTIONS_MAX)
		abort();
	if (rest.n == 0)
		rest = all;
	if (!str_line(&rest, &line) || !spf_is_record(line))
		return 0;
	buf_put(text, line);
	return 1;
}

static int
addresses(void *arg, struct str name, struct ip *list, size_t max)
{
	(void)arg;
	if (++questions > QUESTIONS_MAX || max == 0)
		abort();
	return ip_parse(name, &list[0]) ? 1 : 0;
}

static int
exchangers(void *arg, struct str domain, char (*names)[SPF_NAME], size_t max)
{
	(void)arg;
	if (++questions > QUESTIONS_MAX || max < 2)
		abort();
	names[0][0] = names[1][0] = 'x';
	names[0][1] = names[1][1] = '\0';
	return (int)(domain.n % 3);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct spf_dns dns = { NULL, record, addresses, exchangers };
	char text[64];
	struct buf why = BUF_ON(text);
	struct ip ip;

	all = rest = (struct str){ (const char *)data, size };
	questions = 0;
	if (!ip_parse(STR("192.0.2.1"), &ip))
		abort();
	enum spf_result r = spf_check(&dns, ip, STR("start.test"), &why);
	if (spf_result_name(r) == NULL ||
	    dmarc_policy_name(dmarc_parse(all)) == NULL)
		abort();
	return 0;
}
