/* SPDX-License-Identifier: ISC
 * A control of the power cuts: linked into a queued of its own with
 * --wrap=pwritev2 and --wrap=fdatasync, so that the ring is never synced.
 * check-power must find the mail that this one loses.
 */
#include <sys/uio.h>
#include <unistd.h>

ssize_t __real_pwritev2(int, const struct iovec *, int, off_t, int);
ssize_t __wrap_pwritev2(int, const struct iovec *, int, off_t, int);
int __wrap_fdatasync(int);

ssize_t
__wrap_pwritev2(int fd, const struct iovec *iov, int n, off_t at, int flags)
{
	return __real_pwritev2(fd, iov, n, at, flags & ~RWF_DSYNC);
}

int
__wrap_fdatasync(int fd)
{
	(void)fd;
	return 0;
}
