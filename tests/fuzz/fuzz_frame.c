/* SPDX-License-Identifier: ISC
 * Fuzzes common/frame: any bytes; however they are cut, the same frames come
 * out, each within the input and within its limit.
 */
#include <stdlib.h>
#include <string.h>

#include "common/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX = 300 };

/* Reads frames off in; with `step` the input is shown bit by bit.  A number
 * that says what was read. */
static uint64_t
read_frames(struct str in, size_t step)
{
	uint64_t sum = 0;
	size_t shown = step < in.n ? step : in.n;
	for (;;) {
		char type = 0;
		struct str payload = { NULL, 0 };
		size_t used = 0;
		enum frame_status status = frame_next(
		    str_head(in, shown), MAX, &type, &payload, &used);
		if (status == FRAME_BAD)
			return sum * 31 + 7;
		if (status == FRAME_MORE) {
			if (shown == in.n)
				return sum;
			shown = in.n - shown < step ? in.n : shown + step;
			continue;
		}
		if (used > shown || payload.n + 1 > MAX || payload.p < in.p ||
		    payload.p + payload.n > in.p + shown)
			abort();
		sum = sum * 31 + used * 257 + (unsigned char)type;
		in = str_skip(in, used);
		shown = shown - used;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = { (const char *)data, size };
	uint64_t whole = read_frames(in, size == 0 ? 1 : size);
	if (size < 2000 && read_frames(in, 1) != whole)
		abort();
	if (read_frames(in, 7) != whole)
		abort();
	return 0;
}
