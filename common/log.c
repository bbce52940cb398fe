/* SPDX-License-Identifier: ISC
 * log: contract in log.h.
 */
#include "common/log.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/io.h"

static const char *role_name = "postern";
static uint64_t dropped;
static int log_fd = STDERR_FILENO;
static bool to_syslog;
static bool gathers;
static char gathered[PIPE_BUF]; /* so much goes into a pipe whole or not */
static size_t gathered_n;
static uint64_t gathered_lines;

static void (*on_error)(struct str line);

void
log_on_error(void (*each)(struct str line))
{
	on_error = each;
}

void
log_init(const char *role)
{
	role_name = role;
}

int
log_to_syslog(void)
{
	log_fd = -1;
	to_syslog = true;
	struct sockaddr_un sa = { .sun_family = AF_UNIX,
		.sun_path = "/dev/log" };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0) {
		int saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	log_fd = fd;
	return 0;
}

int
log_off_network(void)
{
	struct stat net, err;
	if (fstat(STDIN_FILENO, &net) < 0 || fstat(STDERR_FILENO, &err) < 0 ||
	    !S_ISSOCK(net.st_mode) || net.st_ino != err.st_ino ||
	    net.st_dev != err.st_dev)
		return 0;
	return log_to_syslog();
}

void
log_safe(struct buf *b, struct str s, size_t max)
{
	static const char hex[] = "0123456789abcdef";
	size_t start = b->n;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
		size_t needs = plain ? 1 : 4;
		if (b->n - start + needs > max || needs > buf_room(b))
			return;
		if (plain) {
			buf_putc(b, (char)c);
			continue;
		}
		buf_put(b, STR("\\x"));
		buf_putc(b, hex[c >> 4]);
		buf_putc(b, hex[c & 15]);
	}
}

static bool
needs_quotes(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == ' ' || s.p[i] == '=' || s.p[i] == '"')
			return true;
	return s.n == 0;
}

static void
put_field(struct buf *b, const struct log_field *f)
{
	buf_putc(b, ' ');
	buf_puts(b, f->key);
	buf_putc(b, '=');
	if (f->text.p == NULL) {
		if (f->hex)
			buf_put_hex64(b, f->number);
		else
			buf_put_u64(b, f->number);
		return;
	}
	bool quoted = needs_quotes(f->text);
	if (quoted)
		buf_putc(b, '"');
	log_safe(b, f->text, LOG_LINE / 3);
	if (quoted)
		buf_putc(b, '"');
}

static void
put_head(struct buf *b, enum log_level level, const char *event)
{
	static const char *const names[] = { "debug", "info", "warn", "error" };
	static const char *const priorities[] = { "<23>", "<22>", "<20>",
		"<19>" };
	if (to_syslog) { /* RFC 3164 4.1: facility mail */
		buf_puts(b, priorities[level]);
		buf_puts(b, "postern: ");
	}
	buf_put(b, STR("t="));
	clock_put_iso(b, clock_now_us());
	buf_puts(b, " level=");
	buf_puts(b, names[level]);
	buf_puts(b, " role=");
	buf_puts(b, role_name);
	buf_puts(b, " event=");
	buf_puts(b, event);
}

void
log_gather(void)
{
	gathers = !to_syslog;
}

void
log_flush(void)
{
	int saved = errno;
	if (gathered_n > 0 &&
	    write(log_fd, gathered, gathered_n) != (ssize_t)gathered_n)
		dropped += gathered_lines;
	gathered_n = gathered_lines = 0;
	errno = saved;
}

static void
gather(struct str line)
{
	if (line.n > sizeof(gathered) - gathered_n)
		log_flush();
	memcpy(gathered + gathered_n, line.p, line.n);
	gathered_n += line.n;
	gathered_lines++;
}

static bool
put_line(struct buf *b)
{
	if (b->full) { /* keep the beginning, and say so */
		b->full = false;
		buf_cut(b, LOG_LINE - 8);
		buf_puts(b, " cut=1");
	}
	if (!to_syslog)
		buf_putc(b, '\n');
	if (gathers) {
		gather(buf_str(b));
		return true;
	}
	return write(log_fd, b->p, b->n) == (ssize_t)b->n;
}

void
log_event(enum log_level level, const char *event, const struct log_field *f,
    size_t count)
{
	char text[LOG_LINE];
	struct buf b = BUF_ON(text);
	int saved = errno;
	if (log_fd < 0)
		return;
	if (dropped > 0) {
		put_head(&b, LOG_WARN, "log-dropped");
		put_field(&b, &F_NUM("lines", dropped));
		if (put_line(&b))
			dropped = 0;
		buf_reset(&b);
	}
	put_head(&b, level, event);
	for (size_t i = 0; i < count; i++)
		put_field(&b, &f[i]);
	if (!put_line(&b))
		dropped++;
	if (level >= LOG_WARN)
		log_flush();
	if (level == LOG_ERROR && on_error != NULL)
		on_error(str_head(buf_str(&b), to_syslog ? b.n : b.n - 1));
	errno = saved;
}
