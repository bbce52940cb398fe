/* SPDX-License-Identifier: ISC
 * Fuzz harness of inject/addrlist: what it rewrites is a list of the same
 * addresses, ASCII when no line end or control byte makes it another field, and
 * stays as it is when it is rewritten again.
 */
#include <string.h>
#include "common/address.h"
#include "inject/addrlist.h"
#include "tests/fuzz/within.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

enum { BYTES = 8192, OUT = 64 * 1024 };

static void
add(void *arg, struct str s)
{
	struct address a;

	if (s.n > 0 && address_parse(s, false, &a) != ADDRESS_OK)
		abort();
	buf_put(arg, s);
	buf_putc(arg, '\n');
}

static bool
run(struct str in, struct buf *out, struct buf *got, struct addrlist *l)
{
	static const struct addr_defaults defaults = {
		.host = { .p = "host.example", .n = 12 },
		.domain = { .p = "dom.example", .n = 11 },
		.plusdomain = { .p = "plus.example", .n = 12 },
	};

	*l = (struct addrlist){
		.defaults = &defaults, .out = out, .each = add, .arg = got
	};
	return addrlist_run(l, in);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char first_room[OUT], second_room[OUT];
	static char one_room[OUT], two_room[OUT];
	static struct addrlist l;
	struct str in = { .p = (const char *)data, .n = size };
	struct buf first = BUF_ON(first_room), second = BUF_ON(second_room);
	struct buf one = BUF_ON(one_room), two = BUF_ON(two_room);

	if (size > BYTES)
		return 0;
	if (!run(in, &first, &one, &l)) {
		if (l.problem == NULL)
			abort();
		check_within(in, l.at);
		return 0;
	}
	if (first.full || one.full)
		return 0; /* the caller is told */
	for (size_t i = 0; i < buf_str(&first).n; i++)
		if ((unsigned char)first.p[i] > 0x7f)
			abort();
	if (!run(buf_str(&first), &second, &two, &l)) {
		/* a whole domain is more tokens than none */
		if (l.count < ADDRLIST_TOKENS)
			abort();
		return 0;
	}
	if (!str_eq(buf_str(&one), buf_str(&two)))
		abort();
	return 0;
}
