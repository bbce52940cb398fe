/* SPDX-License-Identifier: ISC
 * hops: contract in hops.h.
 */
#include "common/hops.h"

static const char trace[] = "received:";

enum { TRACE_LENGTH = sizeof(trace) - 1 };

/* Bytes of a header line, its end not among them. */
static void
feed_line(struct hops *h, struct str run)
{
	size_t column = h->column;

	h->column += run.n;
	for (size_t i = 0; i < run.n && column < TRACE_LENGTH; i++, column++)
		if (h->matched == column &&
		    byte_lower(run.p[i]) == trace[column])
			h->matched++;
	if (column == TRACE_LENGTH && h->matched == TRACE_LENGTH) {
		h->matched = 0; /* counted */
		h->count++;
	}
}

void
hops_feed(struct hops *h, struct str in)
{
	while (in.n > 0 && !h->in_body) {
		size_t n = str_find(in, '\n');

		feed_line(h, str_head(in, n));
		if (n < in.n) {
			h->in_body = h->column == 0;
			h->column = h->matched = 0;
			n++;
		}
		in = str_skip(in, n);
	}
}
