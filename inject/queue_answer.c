/* SPDX-License-Identifier: ISC
 * queue_answer: contract in queue_answer.h.
 */
#include "inject/queue_answer.h"

#include <errno.h>
#include <sys/socket.h>
#include "common/frame.h"
#include "common/io.h"
#include "common/limits.h"
#include "inject/outlet.h"

enum { ANSWER_MS = 600 * 1000 };

enum queue_exit
queue_answer_code(char verdict, struct str text)
{
	if (verdict == 'K')
		return QUEUE_EXIT_DONE;
	if (verdict == 'D')
		return QUEUE_EXIT_REFUSED;
	if (str_starts(text, STR("4.3.1")))
		return QUEUE_EXIT_WRITE;
	if (str_starts(text, STR("4.3.2")))
		return QUEUE_EXIT_MEMORY;
	return QUEUE_EXIT_REFUSED_NOW;
}

/* 0 when some bytes came, or may have; or -1 with errno. */
static int
receive(int fd, int64_t deadline_ms, struct buf *in)
{
	int left = outlet_left_ms(deadline_ms);
	int ready = io_wait(fd, false, left < ANSWER_MS ? left : ANSWER_MS);

	if (ready < 0)
		return -1;
	errno = ETIMEDOUT;
	if (ready == 0)
		return -1;
	ssize_t n = recv(fd, buf_tail(in), buf_room(in), MSG_DONTWAIT);
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -1;
	errno = EPIPE;
	if (n == 0)
		return -1;
	buf_grew(in, (size_t)n);
	return 0;
}

int
queue_answer(int fd, int64_t deadline_ms, struct buf *in, char *verdict,
    struct str *text)
{
	while (receive(fd, deadline_ms, in) == 0) {
		size_t used;
		enum frame_status status =
		    frame_next(buf_str(in), LIMIT_REPORT, verdict, text, &used);

		if (status == FRAME_OK &&
		    (*verdict == 'K' || *verdict == 'Z' || *verdict == 'D'))
			return 0;
		errno = EPROTO;
		if (status != FRAME_MORE)
			return -1;
	}
	return -1;
}
