/* SPDX-License-Identifier: ISC
 * Fuzzes what a user's .qmail file and an address extension go through, and the
 * header scan of postern-local.  The first byte chooses where the scan is cut.
 */
#include <stdlib.h>
#include "send/dotqmail.h"
#include "send/headscan.h"
#include "send/mailname.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void
check(bool ok)
{
	if (!ok)
		abort();
}

static void
lines(struct str in)
{
	struct dotqmail_line line;
	size_t at = 0, before = 0;
	while (dotqmail_next(in, &at, &line)) {
		struct str path;
		check(at > before && at <= in.n);
		before = at;
		if (dotqmail_path(line.text, STR("/home/bob"), &path))
			check(dotqmail_path_is_plain(path, 1024));
	}
}

static void
names(struct str in)
{
	char text[DOTQMAIL_NAME];
	struct buf name = BUF_ON(text);
	size_t matched;
	for (unsigned i = 0; i < 64; i++) {
		if (!dotqmail_name(&name, in, i, &matched))
			break;
		check(matched <= in.n && buf_cstr(&name) != NULL);
		check(str_find(buf_str(&name), '/') == name.n);
	}
}

static uint64_t
scan(struct str in, size_t cut)
{
	struct headscan h = { .ended = false };
	enum headscan_status status = HEADSCAN_MORE;
	uint64_t sum = 0;
	while (in.n > 0 && status != HEADSCAN_END) {
		struct str piece = str_head(in, cut);
		in = str_skip(in, cut);
		do {
			struct str address;
			size_t used;
			status = headscan_feed(&h, piece, &address, &used);
			check(used <= piece.n);
			piece = str_skip(piece, used);
			for (size_t i = 0;
			     status == HEADSCAN_FOUND && i < address.n; i++)
				sum = sum * 31 + (unsigned char)address.p[i];
		} while (status == HEADSCAN_FOUND);
	}
	return sum;
}

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct str in = { .p = (const char *)data, .n = size };
	if (size == 0)
		return 0;
	size_t cut = 1U + data[0] % 64U;
	in = str_skip(in, 1);
	lines(in);
	names(str_head(in, 200));
	check(scan(in, cut) == scan(in, size));
	size_t plain = 0;
	for (size_t i = 0; i < in.n; i++)
		plain += in.p[i] == '\n';
	check(mailname_count_lf(in) == plain);
	return 0;
}
