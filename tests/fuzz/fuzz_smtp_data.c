/* SPDX-License-Identifier: ISC
 * Fuzz harness of smtpd/data against a plain model of RFC 5321 2.3.8 and 4.5.2,
 * the input cut in pieces and the output small.
 */
#include <stdlib.h>
#include <string.h>
#include "smtpd/data.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

enum { MAX = 4096 };

/* Lines end in CRLF only; true at the final dot, *used is then set. */
static bool
model(struct str in, struct buf *out, bool *bad, size_t *used)
{
	size_t at = 0;

	for (;;) {
		const char *end =
		    in.n == at ? NULL : memmem(in.p + at, in.n - at, "\r\n", 2);

		if (end == NULL)
			return false;
		struct str line = { in.p + at, (size_t)(end - in.p) - at };

		at += line.n + 2;
		*used = at;
		if (str_eq(line, STR(".")))
			return true;
		if (str_starts(line, STR(".")))
			line = str_skip(line, 1);
		for (size_t i = 0; i < line.n; i++)
			*bad |= line.p[i] == '\r' || line.p[i] == '\n' ||
				line.p[i] == '\0';
		buf_put(out, line);
		buf_putc(out, '\n');
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char expected_storage[MAX], got_storage[MAX], small[32];
	struct buf expected = BUF_ON(expected_storage);
	struct buf got = BUF_ON(got_storage);
	size_t at = 0, used = 0, piece = size > 0 ? data[0] % 19 + 1u : 1;
	enum data_status status = DATA_MORE;
	bool bad = false;
	struct data d;

	if (size > MAX / 2)
		return 0;
	struct str in =
	    str_skip((struct str){ .p = (const char *)data, .n = size }, 1);
	bool end = model(in, &expected, &bad, &used);

	data_begin(&d, 0);
	while (status != DATA_END && at < in.n) {
		struct buf out = BUF_ON(small);
		size_t n;

		status =
		    data_feed(&d, str_head(str_skip(in, at), piece), &out, &n);
		at += n;
		buf_put(&got, buf_str(&out));
	}
	if (end != (status == DATA_END) || (end && at != used))
		abort();
	if (!end)
		return 0;
	bool grave = d.problem == DATA_BARE || d.problem == DATA_NUL;

	if (grave != bad)
		abort();
	if (d.problem == DATA_GOOD &&
	    !str_eq(buf_str(&got), buf_str(&expected)))
		abort();
	return 0;
}
