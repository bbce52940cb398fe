/* SPDX-License-Identifier: ISC
 * outlet: contract in outlet.h.
 */
#include "inject/outlet.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/io.h"

void
outlet_init(struct outlet *o, int fd, int64_t deadline_ms)
{
	o->fd = fd;
	o->deadline_ms = deadline_ms;
	o->written = 0;
	o->out = BUF_ON(o->room);
}

int
outlet_left_ms(int64_t deadline_ms)
{
	int64_t left = deadline_ms - clock_mono_ms();

	if (left < 0)
		return 0;
	return left < INT_MAX ? (int)left : INT_MAX;
}

/* 0, or -1 with errno. */
static int
wait_for_room(const struct outlet *o)
{
	int n = io_wait(o->fd, true, outlet_left_ms(o->deadline_ms));

	if (n > 0)
		return 0;
	if (n == 0)
		errno = ETIMEDOUT;
	return -1;
}

int
outlet_flush(struct outlet *o)
{
	struct str s = buf_str(&o->out);

	while (s.n > 0) {
		ssize_t n = write(o->fd, s.p, s.n);

		if (n > 0) {
			s = str_skip(s, (size_t)n);
			o->written += (uint64_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			if (wait_for_room(o) < 0)
				return -1;
		} else if (n < 0 && errno != EINTR) {
			return -1;
		}
	}
	buf_reset(&o->out);
	return 0;
}

int
outlet_put(struct outlet *o, char type, struct str payload)
{
	if (buf_room(&o->out) < FRAME_ROOM(payload.n) && outlet_flush(o) < 0)
		return -1;
	frame_put(&o->out, type, payload);
	return 0;
}
