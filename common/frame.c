/* SPDX-License-Identifier: ISC
 * frame: contract in frame.h.  Pure.
 */
#include "common/frame.h"

enum { LENGTH_DIGITS = 9 };

enum frame_status
frame_next(
    struct str in, size_t max, char *type, struct str *payload, size_t *used)
{
	size_t digits = 0;
	size_t n = 0;
	while (digits < in.n && byte_is_digit(in.p[digits])) {
		n = n * 10 + (size_t)(in.p[digits] - '0');
		digits++;
		if (digits > LENGTH_DIGITS || n > max || in.p[0] == '0')
			return FRAME_BAD;
	}
	if (digits == in.n)
		return FRAME_MORE;
	if (digits == 0 || in.p[digits] != ':')
		return FRAME_BAD;
	struct str rest = str_skip(in, digits + 1);
	if (rest.n <= n)
		return FRAME_MORE;
	if (rest.p[n] != ',')
		return FRAME_BAD;
	*type = rest.p[0];
	*payload = (struct str){ .p = rest.p + 1, .n = n - 1 };
	*used = digits + 1 + n + 1;
	return FRAME_OK;
}

enum frame_status
frame_take(struct str *in, size_t max, char *type, struct str *payload)
{
	size_t used;
	enum frame_status status = frame_next(*in, max, type, payload, &used);

	if (status == FRAME_OK)
		*in = str_skip(*in, used);
	return status;
}

void
frame_head(struct buf *b, char type, size_t n)
{
	char text[24];
	struct buf head = BUF_ON(text);
	buf_put_u64(&head, n + 1);
	buf_putc(&head, ':');
	buf_putc(&head, type);
	buf_put(b, buf_str(&head));
}

void
frame_put(struct buf *b, char type, struct str payload)
{
	size_t start = b->n;
	frame_head(b, type, payload.n);
	buf_put(b, payload);
	buf_putc(b, ',');
	if (b->full)
		buf_cut(b, start);
}
