/* SPDX-License-Identifier: ISC
 * postern-listen: accepts connections, applies the limits, and hands each to
 * queued, userd and a template.  One process per service, as posternl; its
 * listening sockets were bound by postern-start.  It never reads from a
 * connection.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/die.h"
#include "common/io.h"
#include "common/log.h"
#include "common/role.h"
#include "common/sandbox.h"
#include "start/admit.h"
#include "start/handover.h"

static const struct sandbox_rule calls[] = {
	ALLOW_LOOP,
	ALLOW_HEAP,
	ALLOW_PACKETS,
	ALLOW(accept4, "its work"),
	ALLOW(getsockname, "the address that the client came to"),
	ALLOW_IF(socketpair, 1, AF_UNIX, "a session's sockets"),
	ALLOW(pipe2, "a session's life"),
	ALLOW(openat, "the control files, at reload"),
	ALLOW(newfstatat, "the control files"),
	ALLOW(fstat, "the control files"),
	ALLOW_IF(fcntl, 2, F_DUPFD_CLOEXEC, "the spare descriptor"),
	ALLOW_IF(fcntl, 2, F_GETFL, "a link becomes non-blocking"),
	ALLOW_IF(fcntl, 2, F_SETFL, "a link becomes non-blocking"),
};

enum {
	ACCEPTS_PER_TURN = 32, /* then other descriptors have their turn */
	PAUSE_MS = 100,	       /* after EMFILE and its like */
	REFUSAL_LOG_MS = 1000
};

static const char smtp_refusal[] =
    "421 4.7.0 Too many connections, try again later\r\n";
static const char pop3_refusal[] =
    "-ERR [SYS/TEMP] Too many connections, try again later\r\n";

static struct {
	bool smtp;
	struct watch doors[ROLE_FD_MAX - ROLE_FD_LISTEN];
	struct {
		struct ip ip;
		uint16_t port;
	} local[ROLE_FD_MAX - ROLE_FD_LISTEN]; /* any address: ip is zero */
	size_t door_count;
	struct watch links[LINKS + 1];
	struct handover waiting; /* when has_waiting: nothing is accepted */
	bool has_waiting;
	bool waits_for_filter; /* not for queued: as it was when it came */
	int spare_fd;
	int64_t paused_until_ms;
	uint64_t refused; /* since the last line about it */
	int64_t refused_said_ms;
} self;

/* In place of LINK_STREAM while control/filter says so. */
enum { LINK_FILTER = LINKS };

static const char *const link_names[LINKS + 1] = { [LINK_STREAM] = "queued",
	[LINK_USERD] = "userd",
	[LINK_FILTER] = "filter" };

/* ---- whether to accept ---- */

static bool
links_complete(void)
{
	size_t first = self.smtp ? LINK_STREAM : LINK_USERD;
	size_t last = self.smtp && admit_filters() ? LINK_FILTER : LINKS - 1;

	for (size_t i = first; i <= last; i++)
		if (self.links[i].fd < 0)
			return false;
	return true;
}

/* The doors are watched only while a connection can be handed on. */
static void
doors_update(void)
{
	bool open =
	    !self.has_waiting && self.paused_until_ms == 0 && links_complete();

	for (size_t i = 0; i < self.door_count; i++)
		loop_change(&self.doors[i], open ? EPOLLIN : 0);
}

static void
pause_accepting(void)
{
	self.paused_until_ms = clock_mono_ms() + PAUSE_MS;
}

/* ---- refusing ---- */

static void
refuse(int fd, const struct ip *ip, const char *why)
{
	struct str text =
	    self.smtp ? str_of(smtp_refusal) : str_of(pop3_refusal);
	int64_t now = clock_mono_ms();
	char room[64];
	struct buf b = BUF_ON(room);

	/* a client that takes not even this gets nothing */
	(void)send(fd, text.p, text.n, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
	self.refused++;
	if (now - self.refused_said_ms < REFUSAL_LOG_MS &&
	    self.refused_said_ms != 0)
		return;
	ip_put(&b, ip);
	LOG(WARN, "refused", F_NUM("count", self.refused), F_TEXT("limit", why),
	    F_STR("last", buf_str(&b)));
	self.refused = 0;
	self.refused_said_ms = now;
}

/* No descriptor is left: the spare one is given to say so to one client. */
static void
accept_with_spare(int door)
{
	const struct ip none = { .b = { 0 } };

	LOG(ERROR, "accept", F_ERRNO(errno));
	io_close(&self.spare_fd);
	int fd = accept4(door, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0)
		refuse(fd, &none, "descriptors");
	self.spare_fd = fcntl(ROLE_FD_CONTROL, F_DUPFD_CLOEXEC, 0);
	pause_accepting();
}

/* ---- accepting ---- */

static void
accept_log(const struct handover *h)
{
	LOG(INFO, "accept", F_STR("sid", h->sid), F_STR("ip", h->peer),
	    F_NUM("port", h->peer_port), F_NUM("relay", h->relay));
}

static void link_drop(size_t);

/* Where the link at which a handover stands is in self.links. */
static size_t
link_place(enum handover_link l)
{
	return l == LINK_STREAM && self.waits_for_filter ? LINK_FILTER : l;
}

/* Goes on with the connection that waits. */
static void
handover_go_on(void)
{
	struct handover *h = &self.waiting;
	int fds[LINKS];

	for (size_t i = 0; i < LINKS; i++)
		fds[i] = self.links[link_place((enum handover_link)i)].fd;
	switch (handover_send(h, fds)) {
	case HANDOVER_DONE:
		self.has_waiting = false;
		break;
	case HANDOVER_WAITS:
		if (self.links[link_place(h->at)].fd >= 0)
			loop_change(
			    &self.links[link_place(h->at)], EPOLLIN | EPOLLOUT);
		break;
	case HANDOVER_GONE:
		link_drop(link_place(h->at));
		break;
	case HANDOVER_FAILED:
		refuse(h->connection, &h->peer_ip, strerror(errno));
		self.has_waiting = false;
		pause_accepting();
		break;
	}
}

static void
local_address(size_t door, struct handover *h)
{
	struct sockaddr_storage sa;
	socklen_t n = sizeof(sa);

	h->local_ip = self.local[door].ip;
	h->local_port = self.local[door].port;
	if (h->local_port == 0 &&
	    getsockname(h->connection, (struct sockaddr *)&sa, &n) == 0)
		(void)ip_from_sockaddr(&sa, &h->local_ip, &h->local_port);
}

/* False when there is nothing (more) to accept now. */
static bool
accept_one(size_t door)
{
	struct handover *h = &self.waiting;
	struct sockaddr_storage sa;
	socklen_t n = sizeof(sa);
	const char *why;
	int fd = accept4(
	    self.doors[door].fd, (struct sockaddr *)&sa, &n, SOCK_CLOEXEC);

	if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return false;
	if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
			  errno == ENOBUFS)) {
		accept_with_spare(self.doors[door].fd);
		return false;
	}
	if (fd < 0) /* that client's trouble: accept(2), "Error handling" */
		return true;
	*h = (struct handover){ .connection = fd };
	if (!ip_from_sockaddr(&sa, &h->peer_ip, &h->peer_port)) {
		close(fd); /* gone before it came */
		return true;
	}
	why = admit_take(&h->peer_ip);
	if (why != NULL) {
		refuse(fd, &h->peer_ip, why);
		return true;
	}
	local_address(door, h);
	h->relay = self.smtp && admit_relays(&h->peer_ip);
	if (handover_begin(h) == HANDOVER_FAILED) {
		refuse(fd, &h->peer_ip, strerror(errno));
		pause_accepting();
		return false;
	}
	accept_log(h); /* before any line of the session's */
	self.has_waiting = true;
	self.waits_for_filter = self.smtp && admit_filters();
	handover_go_on();
	return !self.has_waiting && self.paused_until_ms == 0;
}

static void
on_door(struct watch *w, uint32_t events)
{
	(void)events;
	for (int i = 0; i < ACCEPTS_PER_TURN; i++)
		if (w->events == 0 || !accept_one((size_t)(w - self.doors)))
			break;
	doors_update();
}

/* ---- links ---- */

static void
link_drop(size_t l)
{
	loop_remove(&self.links[l]);
	io_close(&self.links[l].fd);
	doors_update();
}

static void
on_link_ready(struct watch *w, uint32_t events)
{
	size_t l = (size_t)(w - self.links);
	char byte;

	if ((events & (EPOLLHUP | EPOLLERR)) != 0) {
		link_drop(l);
		return;
	}
	if ((events & EPOLLIN) != 0 &&
	    recv(w->fd, &byte, 1, MSG_DONTWAIT) == 0) {
		link_drop(l); /* what else it may say is nothing to us */
		return;
	}
	loop_change(w, EPOLLIN);
	if (self.has_waiting)
		handover_go_on();
	doors_update();
}

static void
on_link(struct str peer, int fd)
{
	for (size_t i = 0; i <= LINKS; i++) {
		struct watch *w = &self.links[i];
		if (!str_eq(peer, str_of(link_names[i])) &&
		    !(i == LINK_TEMPLATE &&
			str_eq(peer, self.smtp ? STR("smtpd") : STR("popup"))))
			continue;
		loop_remove(w);
		io_close(&w->fd);
		*w = (struct watch){ .fd = fd, .ready = on_link_ready };
		if (loop_add(w, EPOLLIN) < 0)
			die(EXITCODE_TEMPORARY, "epoll_ctl", errno);
		if (self.has_waiting)
			handover_go_on();
		doors_update();
		return;
	}
	LOG(ERROR, "unknown-link", F_STR("peer", peer));
	close(fd);
}

/* ---- main ---- */

static void
on_reload(void)
{
	if (admit_configure(ROLE_FD_CONTROL, self.smtp) == 0)
		LOG(INFO, "reloaded", F_NUM("smtp", self.smtp));
	doors_update(); /* with a filter there is one more link to wait for */
}

static int
before_wait(void)
{
	if (self.paused_until_ms == 0)
		return -1;
	int64_t left = self.paused_until_ms - clock_mono_ms();
	if (left > 0)
		return (int)left;
	self.paused_until_ms = 0;
	doors_update();
	return -1;
}

/* Which of the descriptors from 6 on are listening sockets.  Before anything
 * else is opened. */
static void
doors_find(void)
{
	for (int fd = ROLE_FD_LISTEN; fd < ROLE_FD_MAX; fd++) {
		int listens = 0;
		socklen_t n = sizeof(listens);
		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) <
			0 ||
		    !listens)
			break;
		self.doors[self.door_count++].fd = fd;
	}
}

/* The address of a door bound to all of them is asked for at each connection.
 */
static void
door_watch(size_t i)
{
	struct sockaddr_storage sa;
	socklen_t n = sizeof(sa);
	struct ip any_v4;
	struct ip any_v6 = { .b = { 0 } };
	struct ip ip;
	uint16_t port;

	self.doors[i].ready = on_door;
	if (loop_add(&self.doors[i], 0) < 0 ||
	    getsockname(self.doors[i].fd, (struct sockaddr *)&sa, &n) < 0 ||
	    !ip_from_sockaddr(&sa, &ip, &port) ||
	    !ip_parse(STR("0.0.0.0"), &any_v4))
		die(EXITCODE_TEMPORARY, "a listening socket", errno);
	if (ip_eq(&ip, &any_v4) || ip_eq(&ip, &any_v6))
		return;
	self.local[i].ip = ip;
	self.local[i].port = port;
}

/* Everything that is opened, and the settings. */
static void
prepare(void)
{
	handover_init(self.smtp);
	if (admit_configure(ROLE_FD_CONTROL, self.smtp) < 0)
		die_do(EXITCODE_PERMANENT, "the control files are wrong", 0,
		    "postern check says which, and how to write them");
	admit_init();
	for (size_t i = 0; i < self.door_count; i++)
		door_watch(i);
	self.spare_fd = fcntl(ROLE_FD_CONTROL, F_DUPFD_CLOEXEC, 0);
	if (self.spare_fd < 0)
		die(EXITCODE_TEMPORARY, "fcntl", errno);
}

int
main(int argc, char **argv)
{
	static struct role role = { .user = "posternl",
		.help = "usage: postern-listen smtp|pop3\n\n"
			"Accepts connections.  Run by postern-start; see "
			"postern-listen(8).\n",
		.on_link = on_link,
		.on_reload = on_reload };
	static const struct sandbox_dir dirs[] = { { .fd = ROLE_FD_CONTROL } };
	struct str service = argc == 2 ? str_of(argv[1]) : STR("");

	self.smtp = str_eq(service, STR("smtp"));
	role.name = self.smtp ? "listen-smtp" : "listen-pop3";
	for (size_t i = 0; i <= LINKS; i++)
		self.links[i].fd = -1;
	if (self.smtp || str_eq(service, STR("pop3"))) {
		doors_find();
		argc = 1; /* role_init takes no other arguments */
	}
	role_init(&role, argc, argv);
	if (self.door_count == 0)
		die(EXITCODE_PERMANENT, "usage: postern-listen smtp|pop3", 0);
	prepare();
	sandbox_enter(&(struct sandbox){ .role = role.name,
	    .rules = calls,
	    .rule_count = N_ELEMENTS(calls),
	    .dirs = dirs,
	    .dir_count = N_ELEMENTS(dirs) });
	role_ready();
	loop_run(before_wait);
	return EXITCODE_DONE;
}
