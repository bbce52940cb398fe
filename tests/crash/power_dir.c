/* SPDX-License-Identifier: ISC
 * A control of the power cuts: linked into a queued and a local of their own
 * with --wrap=fsync and --wrap=syncfs, so that no directory is ever synced;
 * files are.  check-power must find the mail that these lose.
 */
#include <sys/stat.h>
#include <unistd.h>

int __real_fsync(int);
int __wrap_fsync(int);
int __wrap_syncfs(int);

int
__wrap_fsync(int fd)
{
	struct stat st;
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	return __real_fsync(fd);
}

int
__wrap_syncfs(int fd)
{
	(void)fd;
	return 0;
}
