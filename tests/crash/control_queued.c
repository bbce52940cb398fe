/* SPDX-License-Identifier: ISC
 * control_queued: the fault that the sweep must find.  Linked into a
 * postern-queued of its own (--wrap), it answers K first and writes the record
 * afterwards, before it waits for the next event: as long as nobody is stopped,
 * nothing is amiss.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

ssize_t __real_pwritev2(
    int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t __wrap_pwritev2(
    int fd, const struct iovec *iov, int count, off_t offset, int flags);
int __real_epoll_wait(
    int epfd, struct epoll_event *events, int count, int timeout);
int __wrap_epoll_wait(
    int epfd, struct epoll_event *events, int count, int timeout);

static char kept[4 << 20];
static size_t kept_n;
static int kept_fd;
static off_t kept_at;

static int
write_kept(void)
{
	struct iovec all = { .iov_base = kept, .iov_len = kept_n };
	size_t n = kept_n;
	kept_n = 0;
	if (n == 0)
		return 0;
	return __real_pwritev2(kept_fd, &all, 1, kept_at, RWF_DSYNC) ==
		       (ssize_t)n
		   ? 0
		   : -1;
}

ssize_t
__wrap_pwritev2(
    int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	size_t n = 0;
	for (int i = 0; i < count; i++)
		n += iov[i].iov_len;
	if (write_kept() < 0)
		return -1;
	if (n > sizeof(kept))
		return __real_pwritev2(fd, iov, count, offset, flags);
	for (int i = 0; i < count; i++) {
		memcpy(kept + kept_n, iov[i].iov_base, iov[i].iov_len);
		kept_n += iov[i].iov_len;
	}
	kept_fd = fd;
	kept_at = offset;
	return (ssize_t)n;
}

int
__wrap_epoll_wait(int epfd, struct epoll_event *events, int count, int timeout)
{
	if (write_kept() < 0)
		return -1;
	return __real_epoll_wait(epfd, events, count, timeout);
}
