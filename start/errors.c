/* SPDX-License-Identifier: ISC
 * errors: contract in errors.h.  The file: the number of all errors since the
 * start, then the last of them, a line each, as they stand in the log.
 */
#include "start/errors.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"

enum { KEPT = 16, LINE_ROOM = 480, WRITE_MS = 1000 };

static struct {
	char text[LINE_ROOM];
	size_t n;
} kept[KEPT];

static uint64_t total;
static bool news;
static int64_t written_ms = -WRITE_MS;
static int run_fd = -1;

void
errors_keep(struct str line)
{
	char *to = kept[total % KEPT].text;

	line = str_head(line, LINE_ROOM);
	for (size_t i = 0; i < line.n; i++)
		to[i] = line.p[i] < 0x20 || line.p[i] > 0x7e ? '?' : line.p[i];
	kept[total % KEPT].n = line.n;
	total++;
	news = true;
}

int
errors_write(void)
{
	static char text[KEPT * (LINE_ROOM + 1) + 32];
	struct buf b = BUF_ON(text);
	int64_t due = written_ms + WRITE_MS - clock_mono_ms();

	if (!news || run_fd < 0)
		return -1;
	if (due > 0)
		return (int)due;
	news = false;
	written_ms = clock_mono_ms();
	buf_put_u64(&b, total);
	buf_putc(&b, '\n');
	for (uint64_t i = total > KEPT ? total - KEPT : 0; i < total; i++) {
		buf_put(
		    &b, (struct str){ kept[i % KEPT].text, kept[i % KEPT].n });
		buf_putc(&b, '\n');
	}
	/* a warning: an error would come back */
	if (io_swap_file(run_fd, "errors", buf_str(&b), 0640) < 0)
		LOG(WARN, "errors-file", F_ERRNO(errno));
	return -1;
}

/* At once: it may be the last one. */
static void
on_own_error(struct str line)
{
	errors_keep(line);
	written_ms = -WRITE_MS;
	(void)errors_write();
}

void
errors_init(int run_dirfd)
{
	static const char *const old[] = { "errors", ".errors.new" };

	run_fd = run_dirfd;
	for (size_t i = 0; i < N_ELEMENTS(old); i++)
		if (unlinkat(run_fd, old[i], 0) < 0 && errno != ENOENT)
			LOG(WARN, "errors-file", F_ERRNO(errno));
	log_on_error(on_own_error);
}
