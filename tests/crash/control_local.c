/* SPDX-License-Identifier: ISC
 * control_local: the other fault that the sweep must find.  Linked into a
 * postern-local of its own (--wrap), it renames a file into new/ first and
 * writes it afterwards.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

ssize_t __real_write(int fd, const void *p, size_t n);
ssize_t __wrap_write(int fd, const void *p, size_t n);
int __real_renameat2(
    int fd, const char *name, int to_fd, const char *to, unsigned flags);
int __wrap_renameat2(
    int fd, const char *name, int to_fd, const char *to, unsigned flags);

static struct kept {
	char bytes[128 << 10];
	size_t n;
	int fd;
} kept[32];
static size_t kept_count;

ssize_t
__wrap_write(int fd, const void *p, size_t n)
{
	struct stat st;
	size_t most = sizeof(kept) / sizeof(kept[0]);
	struct kept *k = &kept[kept_count < most ? kept_count : 0];
	if (kept_count == most || n > sizeof(k->bytes) || fstat(fd, &st) < 0 ||
	    !S_ISREG(st.st_mode) || st.st_nlink == 0)
		return __real_write(fd, p, n);
	memcpy(k->bytes, p, n);
	k->n = n;
	k->fd = fd;
	kept_count++;
	return (ssize_t)n;
}

int
__wrap_renameat2(
    int fd, const char *name, int to_fd, const char *to, unsigned flags)
{
	int r = __real_renameat2(fd, name, to_fd, to, flags);
	size_t count = kept_count;
	kept_count = 0;
	for (size_t i = 0; i < count; i++)
		if (__real_write(kept[i].fd, kept[i].bytes, kept[i].n) < 0)
			return -1;
	return r;
}
