/* SPDX-License-Identifier: ISC
 * Fuzz: POP3 lines and commands.  The first byte is how many bytes come at a
 * time; the commands must be those of the whole input at once.
 */
#include <stdlib.h>
#include <string.h>
#include "pop3d/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { STREAM_MAX = 8192 };

static uint64_t
mix(uint64_t h, uint64_t v)
{
	return (h ^ v) * 0x100000001b3ULL;
}

static uint64_t
one_line(uint64_t h, struct str line)
{
	struct pop3_command c;
	enum pop3_status s = pop3_command_parse(line, &c);

	if (s == POP3_OK && (c.verb == POP3_PASS || c.verb == POP3_USER) &&
	    (c.text.n == 0 || memchr(c.text.p, '\0', c.text.n) != NULL ||
		memchr(c.text.p, '\r', c.text.n) != NULL))
		abort();
	if (line.n + 1 > POP3_LINE_MAX)
		abort();
	h = mix(mix(h, line.n), s);
	return s == POP3_OK ? mix(mix(mix(h, c.verb), c.number), c.lines) : h;
}

static uint64_t
feed(struct str in, size_t step)
{
	static char held[STREAM_MAX];
	struct pop3_line state = { .skipping = false };
	size_t n = 0;
	uint64_t h = 1;

	for (size_t at = 0; at < in.n; at += step) {
		struct str piece = str_head(str_skip(in, at), step);
		memcpy(held + n, piece.p, piece.n);
		n += piece.n;
		enum pop3_line_status s;
		do {
			struct str line = { 0 };
			size_t used;
			s = pop3_line_next(&state,
			    (struct str){ .p = held, .n = n }, &line, &used);
			if (used > n)
				abort();
			if (s == POP3_LINE_OK)
				h = one_line(h, line);
			else if (s == POP3_LINE_TOO_LONG)
				h = mix(h, 77);
			memmove(held, held + used, n - used);
			n -= used;
		} while (s != POP3_LINE_MORE);
		if (n >= POP3_LINE_MAX)
			abort();
	}
	return h;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n < 1 || n > STREAM_MAX - POP3_LINE_MAX)
		return 0;
	struct str in = { .p = (const char *)data + 1, .n = n - 1 };
	if (feed(in, data[0] + 1U) != feed(in, STREAM_MAX))
		abort();
	return 0;
}
