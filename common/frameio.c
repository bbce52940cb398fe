/* SPDX-License-Identifier: ISC
 * frameio: contract in frameio.h.
 */
#include "common/frameio.h"

#include <errno.h>
#include <unistd.h>

bool
frameio_read(int fd, struct buf *in, size_t most,
    bool (*take)(char type, struct str payload))
{
	ssize_t n = read(fd, buf_tail(in), buf_room(in));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	buf_grew(in, (size_t)n);
	for (;;) {
		char type;
		struct str payload;
		size_t used;

		switch (frame_next(buf_str(in), most, &type, &payload, &used)) {
		case FRAME_MORE:
			return true;
		case FRAME_BAD:
			return false;
		case FRAME_OK:
			break;
		}
		if (!take(type, payload))
			return false;
		buf_drop(in, used);
	}
}
