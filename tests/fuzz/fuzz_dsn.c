/* SPDX-License-Identifier: ISC
 * dsn: any server's text, any header; lines stay short and parts apart.
 * Input: the text up to the first zero byte, the header behind it.
 */
#include <stdlib.h>
#include "queue/dsn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_line(struct str line, unsigned *boundaries, struct str boundary)
{
	if (line.n > 998)
		abort();
	if (str_starts(line, STR("--")) &&
	    str_starts(str_skip(line, 2), boundary))
		++*boundaries;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char space[DSN_FIXED + 8 * (DSN_HEADER_MAX + 4096)];
	struct str in = { .p = (const char *)data, .n = size };
	struct dsn_rcpt rcpt = { .address = STR("bob@hamburger.edu") };
	struct dsn d = {
		.me = STR("mx.example"),
		.from = STR("MAILER-DAEMON@example"),
		.to = STR("alice@crepes.fr"),
		.is_double = size % 2 == 1,
		.id = size,
		.birth = 1,
		.now_us = 1000000,
		.rcpts = &rcpt,
		.rcpt_count = 1,
	};
	(void)str_cut(in, '\0', &rcpt.text, &d.head);
	rcpt.text = str_head(rcpt.text, 1024);
	struct buf out = BUF_ON(space);
	dsn_put(&out, &d);
	if (out.full)
		abort();
	struct str rest = buf_str(&out);
	struct str line;
	unsigned boundaries = 0;
	while (str_line(&rest, &line)) {
		if (line.n == 0)
			break;
	}
	while (str_line(&rest, &line) && !str_starts(line, STR("--")))
		;
	struct str boundary = str_skip(line, 2);
	boundaries = 1;
	while (str_line(&rest, &line))
		check_line(line, &boundaries, boundary);
	if (boundaries != 4)
		abort();
	return 0;
}
