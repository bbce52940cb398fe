/* SPDX-License-Identifier: ISC
 * fuzz_control: control files.  The first byte chooses the setting, the rest is
 * the file's content; what a reader takes must be within its bounds.
 */
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>
#include "common/control.h"
#include "common/io.h"
#include "common/ip.h"
#include "start/endpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int dir = -1;
static char folder[] = "/tmp/postern-fuzz-control-XXXXXX";

static void
folder_remove(void)
{
	(void)rmdir(folder);
}

static void
quiet(const char *file, unsigned line, const char *what)
{
	(void)line;
	if (strlen(file) == 0 || strlen(what) == 0)
		abort();
}

static const char *
on_line(void *arg, struct str line, unsigned number)
{
	struct endpoint e;
	struct ip_net net;
	unsigned *last = arg;

	if (number <= *last || line.n == 0 || line.n > CONTROL_LINE_MAX ||
	    line.p[0] == '#' || memchr(line.p, '\0', line.n) != NULL)
		abort();
	*last = number;
	if (endpoint_parse(line, &e) && e.port == 0)
		abort();
	if (ip_net_parse(line, &net) && net.bits > 128)
		abort();
	return number % 7 == 0 ? "refused" : NULL;
}

static void
read_setting(const struct control_setting *s)
{
	char text[CONTROL_LINE_MAX];
	struct buf b = BUF_ON(text);
	uint64_t number;
	unsigned last = 0;

	switch (s->kind) {
	case CONTROL_NUMBER:
		if (control_number(dir, s->name, &number) == 0 &&
		    (number < s->min || number > s->max))
			abort();
		break;
	case CONTROL_LINE:
		if (control_line(dir, s->name, &b) == 0 &&
		    (b.full || memchr(b.p, '\n', b.n) != NULL))
			abort();
		break;
	case CONTROL_LIST:
		(void)control_list(dir, s->name, on_line, &last);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (dir < 0) {
		control_on_mistake(quiet);
		if (mkdtemp(folder) == NULL ||
		    (dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) <
			0 ||
		    atexit(folder_remove) != 0)
			abort();
	}
	if (size == 0)
		return 0;
	const struct control_setting *s =
	    &control_settings[data[0] % control_setting_count];
	int fd = openat(dir, s->name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || write(fd, data + 1, size - 1) != (ssize_t)(size - 1))
		abort();
	close(fd);
	read_setting(s);
	(void)unlinkat(dir, s->name, 0);
	return 0;
}
