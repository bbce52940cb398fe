/* SPDX-License-Identifier: ISC
 * scratch: contract in scratch.h.
 */
#include "tests/fuzz/scratch.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include "common/io.h"
#include "common/log.h"

enum { FILES_MAX = 16 };

static int dirfd = -1;
static char path[] = "/tmp/postern-fuzz.XXXXXX";
static const char *made[FILES_MAX];
static size_t made_count;

static void
clean(void)
{
	for (size_t i = 0; i < made_count; i++)
		(void)unlinkat(dirfd, made[i], 0);
	(void)rmdir(path);
}

int
scratch_dir(void)
{
	if (dirfd >= 0)
		return dirfd;
	log_init("fuzz");
	if (!mkdtemp(path))
		abort();
	dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0 || atexit(clean) != 0)
		abort();
	return dirfd;
}

static void
remember(const char *name)
{
	for (size_t i = 0; i < made_count; i++)
		if (str_eq(str_of(made[i]), str_of(name)))
			return;
	if (made_count == FILES_MAX)
		abort();
	made[made_count++] = name;
}

void
scratch_put(const char *name, struct str text)
{
	int fd = openat(scratch_dir(), name,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || io_write_all(fd, text) < 0 || close(fd) < 0)
		abort();
	remember(name);
}
