/* SPDX-License-Identifier: ISC
 * link: contract in link.h.
 */
#include "common/link.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include "common/io.h"
#include "common/log.h"

/* Packets read before others get their turn. */
enum { ROUND = 64 };

static char storage[PACKET_MAX];

bool
link_is_up(const struct link *l)
{
	return l->watch.fd >= 0;
}

void
link_close(struct link *l)
{
	loop_remove(&l->watch);
	io_close(&l->watch.fd);
	l->blocked = l->paused = false;
}

static void
watch_it(struct link *l)
{
	uint32_t in = l->paused ? 0 : EPOLLIN;

	if (link_is_up(l))
		loop_change(&l->watch, l->blocked ? in | EPOLLOUT : in);
}

void
link_pause(struct link *l)
{
	l->paused = true;
	watch_it(l);
}

void
link_resume(struct link *l)
{
	l->paused = false;
	watch_it(l);
}

void
link_complain(const struct link *l, char type)
{
	LOG(ERROR, "bad-packet", F_TEXT("from", l->name),
	    F_STR("type", ((struct str){ .p = &type, .n = 1 })));
}

static void
lose(struct link *l)
{
	link_close(l);
	if (l->lost != NULL)
		l->lost(l);
}

static void
read_packets(struct link *l)
{
	for (int i = 0; i < ROUND && link_is_up(l) && !l->paused; i++) {
		struct str bytes;
		int fds[PACKET_FDS];
		size_t nfds;
		int n = packet_recv(l->watch.fd, storage, sizeof(storage),
		    MSG_DONTWAIT, &bytes, fds, &nfds);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0 && errno == EMSGSIZE) {
			link_complain(l, '?');
			continue;
		}
		if (n <= 0) {
			lose(l);
			return;
		}
		struct packet p = packet_open(bytes);
		l->packet(l, &p, fds, nfds);
		packet_close_fds(fds, nfds);
	}
}

static void
on_ready(struct watch *w, uint32_t events)
{
	struct link *l = w->arg;
	if ((events & EPOLLOUT) != 0 && l->blocked) {
		l->blocked = false;
		watch_it(l);
		if (l->room != NULL)
			l->room(l);
	}
	/* epoll tells of the end again and again, until it is read */
	if ((events & (EPOLLHUP | EPOLLERR)) != 0 && l->paused)
		link_resume(l);
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
		read_packets(l);
}

bool
link_open(struct link *l, int fd)
{
	link_close(l);
	l->watch = (struct watch){ .fd = fd, .ready = on_ready, .arg = l };
	if (loop_add(&l->watch, EPOLLIN) == 0)
		return true;
	LOG(ERROR, "watch", F_TEXT("link", l->name), F_ERRNO(errno));
	io_close(&l->watch.fd);
	return false;
}

static void
wait_for_room(struct link *l)
{
	/* when the peer is gone, reading finds out and calls lost() */
	if (errno != EAGAIN && errno != ENOBUFS && errno != ETOOMANYREFS)
		return;
	l->blocked = true;
	watch_it(l);
}

bool
link_send_fds(
    struct link *l, const struct buf *bytes, const int *fds, size_t nfds)
{
	if (!link_is_up(l) || l->blocked)
		return false;
	if (packet_send(l->watch.fd, buf_str(bytes), fds, nfds) == 0)
		return true;
	wait_for_room(l);
	return false;
}

bool
link_send(struct link *l, const struct buf *bytes, int fd)
{
	return link_send_fds(l, bytes, &fd, fd < 0 ? 0 : 1);
}

size_t
link_send_many(struct link *l, const struct str *packets, size_t count)
{
	struct mmsghdr msgs[LINK_BATCH];
	struct iovec iovs[LINK_BATCH];
	size_t done = 0;
	while (done < count && link_is_up(l) && !l->blocked) {
		size_t n =
		    count - done < LINK_BATCH ? count - done : LINK_BATCH;
		memset(msgs, 0, n * sizeof(msgs[0]));
		for (size_t i = 0; i < n; i++) {
			memcpy(&iovs[i].iov_base, &packets[done + i].p,
			    sizeof(iovs[i].iov_base));
			iovs[i].iov_len = packets[done + i].n;
			msgs[i].msg_hdr.msg_iov = &iovs[i];
			msgs[i].msg_hdr.msg_iovlen = 1;
		}
		int sent = sendmmsg(l->watch.fd, msgs, (unsigned)n,
		    MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0) {
			wait_for_room(l);
			break;
		}
		done += (size_t)sent;
	}
	return done;
}
