/* SPDX-License-Identifier: ISC
 * message: contract in message.h.
 */
#include "send/message.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "common/io.h"
#include "inject/lines.h"

enum { PIECE = 64 * 1024 };

static bool
has_eight_bit(struct str s)
{
	unsigned char all = 0;

	for (size_t i = 0; i < s.n; i++)
		all |= (unsigned char)s.p[i];
	return all > 0x7f;
}

static const char *
keep(struct message *m, struct lines *lines, struct str in, uint64_t max)
{
	static char room[PIECE];
	struct buf out = BUF_ON(room);

	/* never longer than what came in, so one round takes it all */
	switch (lines_feed(lines, &in, &out)) {
	case LINES_OK:
		break;
	case LINES_NUL:
		return "5.6.0 the message has a NUL byte: encode it (base64)";
	case LINES_CR:
	case LINES_MIXED:
		return "5.6.0 the message has a carriage return that SMTP "
		       "cannot carry: end every line with LF, or every line "
		       "with CRLF";
	}
	m->size += out.n;
	if (max != 0 && m->size > max)
		return "5.3.4 the message is larger than control/databytes";
	m->eight_bit = m->eight_bit || has_eight_bit(buf_str(&out));
	return io_write_all(m->fd, buf_str(&out)) < 0
		   ? "4.3.0 no memory to keep the message"
		   : NULL;
}

static const char *
copy(int in_fd, struct message *m, uint64_t max)
{
	static char room[PIECE];
	struct lines lines = { .cr = false };
	const char *wrong = NULL;

	while (wrong == NULL) {
		ssize_t n = read(in_fd, room, sizeof(room));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return "4.3.0 the message cannot be read";
		if (n == 0)
			return lines_end(&lines) == LINES_OK
				   ? NULL
				   : "5.6.0 the message ends in a carriage "
				     "return";
		wrong = keep(m, &lines, (struct str){ room, (size_t)n }, max);
	}
	return wrong;
}

const char *
message_read(int in_fd, uint64_t max, struct message *m)
{
	*m = (struct message){ .fd = memfd_create("message",
				   MFD_CLOEXEC | MFD_ALLOW_SEALING) };
	const char *wrong = m->fd < 0 ? "4.3.0 no memory to keep the message"
				      : copy(in_fd, m, max);

	if (wrong == NULL &&
	    fcntl(m->fd, F_ADD_SEALS,
		F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		wrong = "4.3.0 the message cannot be sealed";
	if (wrong != NULL)
		io_close(&m->fd);
	return wrong;
}
