/* SPDX-License-Identifier: ISC
 * dot: see dot.h.
 */
#include "send/dot.h"

#include <string.h>

void
dot_scan(struct dot_scan *scan, struct str piece)
{
	uint64_t lines = 0, dirty = 0;

	for (size_t i = 0; i < piece.n; i++) {
		lines += piece.p[i] == '\n';
		dirty += piece.p[i] == '\r' || piece.p[i] == '\0';
	}
	scan->bytes += piece.n;
	scan->lines += lines;
	scan->dirty |= dirty > 0;
	if (piece.n > 0)
		scan->in_line = piece.p[piece.n - 1] != '\n';
}

uint64_t
dot_wire_size(const struct dot_scan *scan)
{
	return scan->bytes + scan->lines + (scan->in_line ? 2 : 0);
}

bool
dot_encode(struct dot *dot, struct str piece, struct buf *out)
{
	if (memchr(piece.p, '\r', piece.n) != NULL ||
	    memchr(piece.p, '\0', piece.n) != NULL)
		return false;
	while (piece.n > 0) {
		size_t n = str_find(piece, '\n');
		bool ended = n < piece.n;

		if (!dot->in_line && piece.p[0] == '.')
			buf_putc(out, '.');
		buf_put(out, str_head(piece, n));
		if (ended)
			buf_put(out, STR("\r\n"));
		dot->in_line = !ended;
		piece = str_skip(piece, n + ended);
	}
	return true;
}

void
dot_end(struct dot *dot, struct buf *out)
{
	if (dot->in_line)
		buf_put(out, STR("\r\n"));
	dot->in_line = false;
	buf_put(out, STR(".\r\n"));
}
