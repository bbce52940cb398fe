/* SPDX-License-Identifier: ISC
 * headscan: contract in headscan.h.
 */
#include "send/headscan.h"

#include <string.h>

/* Keeps the beginning of a line that goes on in the next piece. */
static void
keep(struct headscan *h, struct str piece)
{
	if (h->too_long || piece.n > sizeof(h->line) - h->n) {
		h->too_long = true;
		return;
	}
	memcpy(h->line + h->n, piece.p, piece.n);
	h->n += piece.n;
}

static bool
is_delivered_to(struct str line, struct str *address)
{
	if (!str_istarts(line, STR("delivered-to:")))
		return false;
	*address = str_trim(str_skip(line, sizeof("delivered-to:") - 1));
	return address->n > 0;
}

enum headscan_status
headscan_feed(
    struct headscan *h, struct str in, struct str *address, size_t *used)
{
	*used = 0;
	while (!h->ended) {
		struct str rest = str_skip(in, *used);
		size_t n = str_find(rest, '\n');
		if (n == rest.n) {
			keep(h, rest);
			*used = in.n;
			return HEADSCAN_MORE;
		}
		*used += n + 1;
		struct str line = str_head(rest, n);
		if (h->n > 0 || h->too_long) {
			keep(h, line);
			line = (struct str){ .p = h->line, .n = h->n };
		}
		bool skip = h->too_long || line.n > sizeof(h->line);
		h->n = 0;
		h->too_long = false;
		if (!skip && line.n == 0)
			h->ended = true;
		else if (!skip && is_delivered_to(line, address))
			return HEADSCAN_FOUND;
	}
	return HEADSCAN_END;
}
