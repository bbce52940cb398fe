/* SPDX-License-Identifier: ISC
 * round: contract in round.h.
 */
#include "queue/round.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include "common/io.h"

enum { CONTROL = CMSG_SPACE(sizeof(int)) };

static char space[2 * PACKET_MAX];
static size_t used;
static unsigned count;
static struct mmsghdr packets[ROUND_MAX];
static struct iovec parts[ROUND_MAX];
static _Alignas(struct cmsghdr) char controls[ROUND_MAX][CONTROL];
static int fds[ROUND_MAX];

bool
round_is_full(void)
{
	return count == ROUND_MAX || sizeof(space) - used < PACKET_MAX;
}

unsigned
round_count(void)
{
	return count;
}

struct buf
round_place(void)
{
	return (struct buf){ .p = space + used, .cap = PACKET_MAX };
}

static void
attach(struct msghdr *msg, char control[CONTROL], int fd)
{
	msg->msg_control = control;
	msg->msg_controllen = CONTROL;
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
}

void
round_add(const struct buf *packet, int fd)
{
	struct str bytes = buf_str(packet);
	struct msghdr *msg = &packets[count].msg_hdr;
	parts[count] =
	    (struct iovec){ .iov_base = space + used, .iov_len = bytes.n };
	used += bytes.n;
	*msg = (struct msghdr){ .msg_iov = &parts[count], .msg_iovlen = 1 };
	if (fd >= 0)
		attach(msg, controls[count], fd);
	fds[count++] = fd;
}

unsigned
round_send(int socket)
{
	unsigned sent = 0;
	int n = 1;
	while (sent < count && n > 0) {
		n = sendmmsg(socket, packets + sent, count - sent,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0)
			sent += (unsigned)n;
	}
	int saved = errno;
	for (unsigned i = 0; i < count; i++)
		io_close(&fds[i]);
	used = count = 0;
	errno = saved;
	return sent;
}
