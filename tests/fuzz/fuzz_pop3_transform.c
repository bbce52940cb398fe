/* SPDX-License-Identifier: ISC
 * Fuzz: a file as RETR and TOP send it.  The first two bytes are how it is cut,
 * the third TOP's lines.  The reply must come out the same as at one go, hold
 * the octets that were counted, and end where it should only.
 */
#include <stdlib.h>
#include <string.h>
#include "pop3d/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { FILE_MAX = 4096, REPLY_MAX = 2 * FILE_MAX + 16 };

static void
send_all(
    struct wire *w, struct str in, size_t step, size_t room, struct buf *all)
{
	static char text[REPLY_MAX];
	struct buf out = { .p = text, .n = 0, .cap = room, .full = false };

	for (size_t at = 0; at < in.n; at += step) {
		struct str piece = str_head(str_skip(in, at), step);
		while (piece.n > 0) {
			piece = str_skip(piece, wire_feed(w, piece, &out));
			if (buf_room(&out) < WIRE_ROOM) {
				buf_put(all, buf_str(&out));
				buf_reset(&out);
			}
		}
	}
	buf_put(all, buf_str(&out));
	buf_reset(&out);
	wire_end(w, &out);
	buf_put(all, buf_str(&out));
	if (all->full || out.full)
		abort();
}

/* Undoes the dots; the final line must be the only lone dot. */
static uint64_t
received(struct str reply)
{
	struct str line;
	uint64_t octets = 0;

	while (str_line(&reply, &line)) {
		if (line.n == 0 || line.p[line.n - 1] != '\r')
			abort();
		if (str_eq(line, STR(".\r"))) {
			if (reply.n != 0)
				abort();
			return octets;
		}
		octets += line.n + 1 - (line.p[0] == '.');
	}
	abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static char a_text[REPLY_MAX], b_text[REPLY_MAX];
	struct buf a = BUF_ON(a_text), b = BUF_ON(b_text);

	if (n < 3 || n > FILE_MAX)
		return 0;
	struct str in = { .p = (const char *)data + 3, .n = n - 3 };
	bool top = data[2] != 0xff;
	struct wire wa = top ? wire_begin_top(data[2]) : wire_begin();
	struct wire wb = wa;
	send_all(&wa, in, data[0] + 1U, (size_t)data[1] + WIRE_ROOM, &a);
	send_all(&wb, in, FILE_MAX, REPLY_MAX, &b);
	if (!str_eq(buf_str(&a), buf_str(&b)) || wa.octets != wb.octets ||
	    received(buf_str(&a)) != wa.octets)
		abort();
	struct wire m = wire_begin();
	wire_measure(&m, in);
	if (!top && wire_octets(&m) != wa.octets)
		abort();
	return 0;
}
