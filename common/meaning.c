/* SPDX-License-Identifier: ISC
 * meaning: contract in meaning.h.
 */
#include "common/meaning.h"

#include <string.h>
#include "common/address.h"
#include "common/ip.h"

enum { GREETING_MAX = 512 - 6 }; /* RFC 5321 4.5.3.1.5; "220 ", CRLF */

static const char *
host_line(struct str s)
{
	struct ip ip;

	if (ip_parse(s, &ip))
		return "an address is no name: write the host's name, as "
		       "mail.example.org";
	return address_is_domain(s)
		   ? NULL
		   : "is no host name: write one, as mail.example.org";
}

static const char *
helo_line(struct str s)
{
	return address_is_literal(s) ? NULL : host_line(s);
}

/* What is added to addresses; nothing is added when it is empty. */
static const char *
domain_line(struct str s)
{
	return s.n == 0 ? NULL : host_line(s);
}

static const char *
address_line(struct str s)
{
	struct address a;

	return address_parse(s, true, &a) == ADDRESS_OK
		   ? NULL
		   : "is no address: write one, as alice@example.org";
}

static const char *
local_part_line(struct str s)
{
	struct address a;

	return address_parse(s, true, &a) == ADDRESS_OK && a.domain.n == 0
		   ? NULL
		   : "write what stands before the @ (bouncehost has the rest)";
}

static const char *
text_line(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x20 || s.p[i] > 0x7e)
			return "only printable ASCII can be sent: write it "
			       "without other letters";
	return s.n <= GREETING_MAX
		   ? NULL
		   : "a reply line has at most 512 bytes: write a shorter one";
}

static const struct {
	const char *name;
	const char *(*wrong)(struct str);
} meanings[] = {
	{ "me", host_line },
	{ "helohost", helo_line },
	{ "bouncehost", host_line },
	{ "envnoathost", domain_line },
	{ "defaulthost", domain_line },
	{ "defaultdomain", domain_line },
	{ "plusdomain", domain_line },
	{ "idhost", domain_line },
	{ "postmaster", address_line },
	{ "bouncefrom", local_part_line },
	{ "smtpgreeting", text_line },
};

const char *
meaning_wrong(const char *name, struct str value)
{
	for (size_t i = 0; i < N_ELEMENTS(meanings); i++)
		if (strcmp(meanings[i].name, name) == 0)
			return meanings[i].wrong(value);
	return NULL;
}
