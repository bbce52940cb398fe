/* SPDX-License-Identifier: ISC
 * postern-dial: connects to the mail hosts of a domain.  Runs as posternc.
 *
 * qmgr names a domain; dial applies control/smtproutes or asks dnsd (walk.c),
 * connects, and hands the connected socket to remote.  It never reads a byte
 * from a connection.  Many requests are in flight at once.
 */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include "common/die.h"
#include "common/io.h"
#include "common/log.h"
#include "common/packet.h"
#include "common/role.h"
#include "common/sandbox.h"
#include "send/dialconf.h"
#include "send/request.h"

static const struct sandbox_rule rules[] = {
	ALLOW_LOOP,
	ALLOW_PACKETS,
	ALLOW_HEAP,
	ALLOW_IF(socket, 1, AF_INET, "connections to mail hosts"),
	ALLOW_IF(socket, 1, AF_INET6, "connections to mail hosts"),
	ALLOW(connect, "connections to mail hosts"),
	ALLOW(getsockopt, "how a connect ended"),
	ALLOW(setsockopt, "TCP_NODELAY, SO_KEEPALIVE"),
	ALLOW(bind, "whether an address is this host's own"),
	ALLOW(openat, "control files, on reload"),
	ALLOW(fstat, "control files, on reload"),
	ALLOW(newfstatat, "control files, on reload"),
};

static const struct sandbox_dir dirs[] = { { .fd = ROLE_FD_CONTROL } };

static const struct sandbox sandbox = { .role = "dial",
	.rules = rules,
	.rule_count = N_ELEMENTS(rules),
	.dirs = dirs,
	.dir_count = N_ELEMENTS(dirs),
	.connects = true };

enum { PACKETS_PER_TURN = 64 };

static struct request_links links = {
	.qmgr = { .fd = -1 }, .dnsd = { .fd = -1 }, .remote = { .fd = -1 }
};
static struct dialconf *conf;

/* ---- links ---- */

static void
link_lost(struct watch *w)
{
	loop_remove(w);
	io_close(&w->fd);
	request_link_lost(w);
}

static void
take_packet(struct watch *w, struct str bytes)
{
	struct packet p = packet_open(bytes);

	if (w == &links.qmgr)
		request_take(&p);
	else if (w == &links.dnsd)
		request_answer(&p);
	else
		LOG(ERROR, "bad-packet", F_TEXT("link", "remote"));
}

static void
on_packets(struct watch *w, uint32_t events)
{
	static char storage[PACKET_MAX];

	if ((events & EPOLLOUT) != 0) {
		loop_change(w, EPOLLIN);
		request_link_writable(w);
	}
	for (int i = 0; i < PACKETS_PER_TURN && w->fd >= 0; i++) {
		struct str bytes;
		int fds[PACKET_FDS];
		size_t nfds;
		int got = packet_recv(w->fd, storage, sizeof(storage),
		    MSG_DONTWAIT, &bytes, fds, &nfds);

		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (got <= 0) {
			link_lost(w);
			return;
		}
		packet_close_fds(fds, nfds);
		take_packet(w, bytes);
	}
}

static void
on_link(struct str peer, int fd)
{
	struct watch *w = str_eq(peer, STR("qmgr"))	? &links.qmgr
			  : str_eq(peer, STR("dnsd"))	? &links.dnsd
			  : str_eq(peer, STR("remote")) ? &links.remote
							: NULL;

	if (w == NULL) {
		io_close(&fd);
		return;
	}
	link_lost(w);
	*w = (struct watch){ .fd = fd, .ready = on_packets };
	if (loop_add(w, EPOLLIN) < 0) {
		LOG(ERROR, "link", F_ERRNO(errno));
		io_close(&w->fd);
		return;
	}
	request_link_made(w);
}

/* ---- the role ---- */

/* Requests that run keep the host names they have; routes and networks are
 * those of the new files at once, all of them or none. */
static void
reload(void)
{
	struct dialconf *fresh = dialconf_load(ROLE_FD_CONTROL);

	if (fresh == NULL)
		return;
	request_configure(fresh);
	dialconf_free(conf);
	conf = fresh;
	LOG(INFO, "reload", F_TEXT("state", "done"));
}

int
main(int argc, char **argv)
{
	static const struct role role = {
		.name = "dial",
		.user = "posternc",
		.help = "postern-dial: connects to mail hosts; run by "
			"postern-start\n",
		.on_link = on_link,
		.on_reload = reload,
	};

	role_init(&role, argc, argv);
	if (dialconf_own_addresses() < 0)
		die(EXITCODE_TEMPORARY, "getifaddrs", errno);
	conf = dialconf_load(ROLE_FD_CONTROL);
	if (conf == NULL)
		die(EXITCODE_PERMANENT, "the control files are wrong", 0);
	uint64_t seed;
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		die(EXITCODE_TEMPORARY, "getrandom", errno);
	request_init(&links, seed);
	request_configure(conf);
	sandbox_enter(&sandbox);
	role_ready();
	loop_run(request_time);
	return EXITCODE_DONE;
}
