/* SPDX-License-Identifier: ISC
 * utf8: contract in utf8.h.  Pure.
 */
#include "inject/utf8.h"

static void
lead(struct utf8 *u, uint8_t c)
{
	u->lo = 0x80;
	u->hi = 0xbf;
	if (c < 0x80)
		return;
	u->eight_bit = true;
	if (c >= 0xc2 && c <= 0xdf)
		u->left = 1;
	else if (c >= 0xe0 && c <= 0xef)
		u->left = 2;
	else if (c >= 0xf0 && c <= 0xf4)
		u->left = 3;
	else
		u->bad = true;
	/* no overlong forms, no surrogates, nothing over U+10FFFF */
	if (c == 0xe0)
		u->lo = 0xa0;
	else if (c == 0xed)
		u->hi = 0x9f;
	else if (c == 0xf0)
		u->lo = 0x90;
	else if (c == 0xf4)
		u->hi = 0x8f;
}

void
utf8_feed(struct utf8 *u, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = (uint8_t)s.p[i];

		if (u->left == 0) {
			lead(u, c);
			continue;
		}
		if (c < u->lo || c > u->hi) {
			u->bad = true;
			u->left = 0;
			lead(u, c);
			continue;
		}
		u->left--;
		u->lo = 0x80;
		u->hi = 0xbf;
	}
}

bool
utf8_good(const struct utf8 *u)
{
	return !u->bad && u->left == 0;
}

bool
utf8_is(struct str s)
{
	struct utf8 u = { 0 };

	utf8_feed(&u, s);
	return utf8_good(&u);
}

const char *
utf8_charset(bool eight_bit, bool good)
{
	if (!eight_bit)
		return "us-ascii";
	return good ? "utf-8" : "unknown-8bit";
}
