/* SPDX-License-Identifier: ISC
 * wire: contract in wire.h.
 */
#include "pop3d/wire.h"

#include <string.h>

struct wire
wire_begin(void)
{
	return (struct wire){ .in_header = true };
}

struct wire
wire_begin_top(uint64_t lines)
{
	return (struct wire){
		.limited = true, .lines_left = lines, .in_header = true
	};
}

/* Bytes in front of the next LF, and whether there is one. */
static size_t
line_length(struct str in, bool *has_end)
{
	const char *lf = memchr(in.p, '\n', in.n);

	*has_end = lf != NULL;
	return lf != NULL ? (size_t)(lf - in.p) : in.n;
}

/* Notes n > 0 bytes of the current line, the last of them `last`. */
static void
note_content(struct wire *w, size_t n, char last)
{
	w->octets += n;
	w->after_cr = last == '\r';
	w->blank = !w->mid_line && n == 1 && w->after_cr;
	w->mid_line = true;
}

/* Notes the LF.  A CR that stands before it has been counted already. */
static void
note_line_end(struct wire *w)
{
	bool blank = !w->mid_line || w->blank;

	w->octets += w->after_cr ? 1 : 2;
	w->mid_line = w->after_cr = w->blank = false;
	if (!w->limited)
		return;
	if (!w->in_header) {
		w->lines_left--;
		w->done = w->lines_left == 0;
	} else if (blank) {
		w->in_header = false;
		w->done = w->lines_left == 0;
	}
}

size_t
wire_feed(struct wire *w, struct str in, struct buf *out)
{
	struct str rest = in;

	while (rest.n > 0 && !w->done && buf_room(out) >= WIRE_ROOM) {
		bool has_end;
		size_t n = line_length(rest, &has_end);
		if (!w->mid_line && rest.p[0] == '.')
			buf_putc(out, '.');
		if (n > buf_room(out) - 2) {
			n = buf_room(out) - 2;
			has_end = false;
		}
		if (n > 0) {
			buf_put(out, str_head(rest, n));
			note_content(w, n, rest.p[n - 1]);
		}
		if (has_end) {
			buf_put(out, w->after_cr ? STR("\n") : STR("\r\n"));
			note_line_end(w);
		}
		rest = str_skip(rest, n + has_end);
	}
	return w->done ? in.n : in.n - rest.n;
}

void
wire_end(struct wire *w, struct buf *out)
{
	if (buf_room(out) < WIRE_ROOM)
		return;
	if (w->mid_line) {
		buf_put(out, STR("\r\n"));
		w->octets += 2;
		w->mid_line = false;
	}
	buf_put(out, STR(".\r\n"));
}

void
wire_measure(struct wire *w, struct str in)
{
	while (in.n > 0) {
		bool has_end;
		size_t n = line_length(in, &has_end);
		if (n > 0)
			note_content(w, n, in.p[n - 1]);
		if (has_end)
			note_line_end(w);
		in = str_skip(in, n + has_end);
	}
}

uint64_t
wire_octets(const struct wire *w)
{
	return w->octets + (w->mid_line ? 2 : 0);
}
