/* SPDX-License-Identifier: ISC
 * fence: contract in fence.h.  Constants as in common/sandbox.c, of Linux'
 * Documentation/userspace-api/landlock.rst.
 */
#include "filter/fence.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	VERSION_FLAG = 1,
	PATH_RULE = 1,
	FS_MAKE_CHAR = 1 << 6, /* which only root can */
	FS_REFER = 1 << 13, /* refused by every domain that does not say so */
	SCOPE_SIGNAL = 2
};

struct ruleset {
	uint64_t fs, net, scoped;
};

struct __attribute__((packed)) path_rule {
	uint64_t allowed;
	int32_t parent_fd;
};

static int
allow_refer(int ruleset_fd)
{
	struct path_rule rule = { .allowed = FS_REFER,
		.parent_fd = open("/", O_PATH | O_CLOEXEC) };
	int r = -1;

	if (rule.parent_fd >= 0) {
		r = (int)syscall(
		    SYS_landlock_add_rule, ruleset_fd, PATH_RULE, &rule, 0);
		close(rule.parent_fd);
	}
	return r;
}

int
fence_enter(void)
{
	struct ruleset r = { .fs = FS_MAKE_CHAR };
	long abi =
	    syscall(SYS_landlock_create_ruleset, (void *)0, 0, VERSION_FLAG);
	size_t size = sizeof(r.fs);

	if (abi < 2) /* the first one refuses all renames between directories */
		return 0;
	r.fs |= FS_REFER;
	if (abi >= 6) {
		r.scoped = SCOPE_SIGNAL;
		size = sizeof(r);
	}
	int fd = (int)syscall(SYS_landlock_create_ruleset, &r, size, 0);
	if (fd < 0 || allow_refer(fd) < 0)
		return -1;
	int result = (int)syscall(SYS_landlock_restrict_self, fd, 0);
	close(fd);
	return result;
}
