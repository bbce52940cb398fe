/* SPDX-License-Identifier: ISC
 * queue_end: contract in queue_end.h.
 */
#include "inject/queue_end.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "common/io.h"
#include "common/log.h"

enum {
	REPORT_MS = 10 * 1000,
	REPORT_LINE = 512,
	LOWEST_FD = 3,
	HIGHEST_FD = 1 << 20
};

static int report_fd = -1; /* none */
static void (*undo_first)(void);

void
queue_end_report_to(struct str number)
{
	uint64_t fd;

	if (number.n > 0 && str_u64(number, HIGHEST_FD, &fd) &&
	    fd >= LOWEST_FD && fcntl((int)fd, F_GETFD) >= 0)
		report_fd = (int)fd;
}

void
queue_end_first(void (*undo)(void))
{
	undo_first = undo;
}

static void
report(char verdict, struct str text)
{
	char line[REPORT_LINE];
	struct buf b = BUF_ON(line);
	int fd = report_fd;

	if (fd < 0 && verdict == 'K')
		return;
	if (fd < 0) {
		fd = STDERR_FILENO;
		buf_puts(&b, "postern-queue: ");
	} else {
		buf_putc(&b, verdict);
	}
	log_safe(&b, text, sizeof(line) - b.n - 1);
	buf_putc(&b, '\n');
	if (io_wait(fd, true, REPORT_MS) <= 0)
		return; /* nobody reads it; the exit code says it, too */
	ssize_t n = write(fd, b.p, b.n);
	(void)n;
}

void
queue_end(int code, char verdict, struct str text)
{
	if (undo_first != NULL)
		undo_first();
	report(verdict, text);
	_exit(code);
}

void
queue_fail(enum queue_exit code, const char *text)
{
	bool final = code >= 11 && code <= 40;

	queue_end((int)code, final ? 'D' : 'Z', str_of(text));
}

void
queue_fail_errno(enum queue_exit code, const char *text)
{
	char space[REPORT_LINE];
	struct buf b = BUF_ON(space);
	const char *error = strerror(errno);

	buf_puts(&b, text);
	buf_puts(&b, ": ");
	buf_puts(&b, error);
	queue_end((int)code, 'Z', buf_str(&b));
}
