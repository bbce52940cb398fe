/* SPDX-License-Identifier: ISC
 * Fuzzes queue/select: any bytes as a question of `postern queue`.  Views lie
 * within it, what is read is written back alike, and matching ends.
 */
#include <stdlib.h>
#include <string.h>

#include "queue/select.h"
#include "tests/fuzz/within.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = { (const char *)data, size };
	struct packet p = { .rest = in };
	struct selection s;
	char space[4096];
	struct buf b = BUF_ON(space);
	selection_get(&p, &s);
	if (p.bad)
		return 0;
	check_within(in, s.sender);
	check_within(in, s.rcpt);
	check_within(in, s.domain);
	check_within(in, s.reason);
	check_within(in, s.states);
	selection_put(&b, &s);
	if (b.full || !str_eq(buf_str(&b), str_head(in, b.n)))
		abort();
	const struct selected_message m = { .id = s.id, .sender = s.rcpt };
	(void)selection_message(&s, &m);
	(void)selection_rcpt(&s, 'w', s.sender, s.domain);
	if (s.sender.n > 0 && !select_glob(s.sender, s.sender) &&
	    str_find(s.sender, '*') == s.sender.n &&
	    str_find(s.sender, '?') == s.sender.n)
		abort();
	return 0;
}
