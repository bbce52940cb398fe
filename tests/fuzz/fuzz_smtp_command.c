/* SPDX-License-Identifier: ISC
 * Fuzz harness of smtpd/line and smtpd/command.  The lines are the same when
 * the input comes byte by byte; what parses has addresses that fit their
 * limits.
 */
#include <stdlib.h>
#include <string.h>
#include "common/limits.h"
#include "smtpd/command.h"
#include "smtpd/line.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_address(struct address a)
{
	char storage[LIMIT_ADDRESS];
	struct buf out = BUF_ON(storage);

	address_put(&out, a);
	(void)command_is_postmaster(a.local);
	if (out.full || a.local.n == 0)
		abort();
}

static void
check_line(struct str line)
{
	struct command c;
	struct command_mail mail;
	struct address a;

	(void)command_parse(line, &c);
	if (command_mail(line, &mail) == COMMAND_OK && !mail.null)
		check_address(mail.sender);
	if (command_rcpt(line, &a) == COMMAND_OK)
		check_address(a);
	if (!command_parse(line, &c))
		return;
	if (c.verb == VERB_MAIL && command_mail(c.arg, &mail) == COMMAND_OK &&
	    !mail.null)
		check_address(mail.sender);
	if (c.verb == VERB_RCPT && command_rcpt(c.arg, &a) == COMMAND_OK)
		check_address(a);
}

/* A number for all that line_next says, the input coming `piece` bytes at once
 */
static uint64_t
digest(struct str in, size_t piece)
{
	struct line_reader r = { .discarding = false };
	uint64_t sum = 1469598103934665603u;
	size_t taken = 0, come = 0;

	for (;;) {
		struct str line = STR("");
		size_t used;
		enum line_status status = line_next(
		    &r, str_skip(str_head(in, come), taken), 64, &line, &used);

		taken += used;
		if (taken > come)
			abort();
		if (status == LINE_MORE && come == in.n)
			return sum;
		if (status == LINE_MORE) {
			come = come + piece < in.n ? come + piece : in.n;
			continue;
		}
		sum = (sum ^ (uint64_t)status) * 1099511628211u;
		for (size_t i = 0; i < line.n; i++)
			sum = (sum ^ (unsigned char)line.p[i]) * 1099511628211u;
		if (status == LINE_OK)
			check_line(line);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = { .p = (const char *)data, .n = size };

	check_line(in);
	if (digest(in, 1) != digest(in, size + 1) ||
	    digest(in, 7) != digest(in, size + 1))
		abort();
	return 0;
}
