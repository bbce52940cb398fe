/* SPDX-License-Identifier: ISC
 * Fuzzes what a filter program reports and how it ends, and the line of
 * control/filter.  The first byte is the exit code, the second where the report
 * is cut.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include "filter/command.h"
#include "filter/outcome.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void
check(bool ok)
{
	if (!ok)
		abort();
}

static void
decide(struct str in, size_t cut, int status, struct outcome *o)
{
	struct outcome_report r = { .n = 0 };

	for (; in.n > 0; in = str_skip(in, cut))
		outcome_feed(&r, str_head(in, cut));
	struct str line = outcome_end(&r);
	check(line.n <= OUTCOME_LINE);
	outcome_decide(o, status, NULL, line);
}

/* A reply that smtpd can send: printable, with a status code of its class. */
static void
check_outcome(const struct outcome *o)
{
	struct str text = buf_str(&o->text);
	uint64_t id;

	if (o->verdict == VERDICT_OK) {
		check(text.n == 0 || str_hex64(text, &id));
		return;
	}
	check(text.n > 6);
	check(text.p[0] == (o->verdict == VERDICT_FAIL ? '5' : '4'));
	for (size_t i = 0; i < text.n; i++)
		check(text.p[i] >= ' ' && text.p[i] <= '~');
}

static void
command(struct str in)
{
	struct command c;
	size_t words = 0;

	if (command_parse(in, &c) != NULL)
		return;
	for (; words < N_ELEMENTS(c.argv) && c.argv[words] != NULL; words++)
		check(c.argv[words] >= c.text &&
		      c.argv[words] + strlen(c.argv[words]) <
			  c.text + sizeof(c.text));
	check(words > 0 && words <= COMMAND_WORDS && c.argv[0][0] == '/');
}

int
LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct outcome whole, pieces;

	if (size < 2)
		return 0;
	int status = W_EXITCODE(data[0], 0);
	size_t cut = data[1] == 0 ? 1 : data[1];
	struct str in = { .p = (const char *)data + 2, .n = size - 2 };
	decide(in, in.n + 1, status, &whole);
	decide(in, cut, status, &pieces);
	check(whole.verdict == pieces.verdict &&
	      str_eq(buf_str(&whole.text), buf_str(&pieces.text)));
	check_outcome(&whole);
	command(in);
	return 0;
}
