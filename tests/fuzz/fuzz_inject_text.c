/* SPDX-License-Identifier: ISC
 * Fuzz harness of inject/text and qp: the same result however the input is cut;
 * quoted-printable has short lines of plain ASCII and decodes to the text.
 */
#include <string.h>
#include "inject/qp.h"
#include "inject/text.h"
#include "tests/fuzz/within.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

enum { BYTES = 8192 };

static enum text_status
feed(struct str in, bool dots, size_t piece, struct buf *out)
{
	struct text t = { .dot_ends = dots };
	enum text_status status = TEXT_MORE;

	while (in.n > 0 && status == TEXT_MORE) {
		status = text_feed(&t, str_head(in, piece), out);
		in = str_skip(in, piece);
	}
	return status == TEXT_MORE ? text_end(&t, out) : status;
}

static unsigned
nibble(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c < 'A' || c > 'F')
		abort();
	return (unsigned)(c - 'A') + 10;
}

static void
decode(struct str in, struct buf *out)
{
	struct str line;

	while (str_line(&in, &line)) {
		bool soft = str_ends(line, STR("="));

		if (line.n > 76 || str_ends(line, STR(" ")) ||
		    str_ends(line, STR("\t")))
			abort();
		if (soft)
			line.n--;
		for (size_t i = 0; i < line.n; i++) {
			if ((unsigned char)line.p[i] > '~')
				abort();
			if (line.p[i] != '=') {
				buf_putc(out, line.p[i]);
				continue;
			}
			if (i + 2 >= line.n)
				abort();
			buf_putc(out, (char)(nibble(line.p[i + 1]) << 4 |
					     nibble(line.p[i + 2])));
			i += 2;
		}
		if (!soft)
			buf_putc(out, '\n');
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char one_room[BYTES + 8], two_room[BYTES + 8];
	static char coded_room[QP_ROOM(BYTES + 8)], plain_room[BYTES + 8];
	struct buf one = BUF_ON(one_room), two = BUF_ON(two_room);
	struct buf coded = BUF_ON(coded_room), plain = BUF_ON(plain_room);
	struct qp q = { .column = 0 };

	if (size < 2 || size > BYTES)
		return 0;
	struct str in = { .p = (const char *)data + 2, .n = size - 2 };
	size_t piece = 1 + data[0] % 17;
	bool dots = data[1] % 2 == 1;
	enum text_status status = feed(in, dots, in.n + 1, &one);

	if (feed(in, dots, piece, &two) != status)
		abort();
	if (status != TEXT_MORE && status != TEXT_DOT)
		return 0;
	if (one.full || !str_eq(buf_str(&one), buf_str(&two)))
		abort();
	for (struct str rest = buf_str(&one); rest.n > 0;
	     rest = str_skip(rest, piece))
		qp_feed(&q, str_head(rest, piece), &coded);
	qp_end(&q, &coded);
	decode(buf_str(&coded), &plain);
	if (coded.full || !str_eq(buf_str(&plain), buf_str(&one)))
		abort();
	return 0;
}
