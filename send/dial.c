/* SPDX-License-Identifier: ISC
 * postern-dial: connects to the mail hosts of a domain.  Runs as posternc.
 *
 * qmgr names a domain; dial applies control/smtproutes or asks dnsd (walk.c),
 * connects, and hands the connected socket to remote.  It never reads a byte
 * from a connection.  Many requests are in flight at once.
 */
#include <errno.h>
#include <sys/random.h>
#include <sys/socket.h>
#include "common/die.h"
#include "common/io.h"
#include "common/log.h"
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

static void take_packet(struct link *, struct packet *, int *, size_t);

static struct request_links links = {
	.qmgr = LINK_DOWN(
	    "qmgr", take_packet, request_link_room, request_link_lost),
	.dnsd = LINK_DOWN(
	    "dnsd", take_packet, request_link_room, request_link_lost),
	.remote = LINK_DOWN(
	    "remote", take_packet, request_link_room, request_link_lost),
};
static struct dialconf *conf;

/* ---- links ---- */

static void
take_packet(struct link *l, struct packet *p, int *fds, size_t nfds)
{
	(void)fds;
	(void)nfds;
	if (l == &links.qmgr && p->type == 'X')
		request_give_up(p);
	else if (l == &links.qmgr && p->type == 'B')
		request_serves_nobody(p);
	else if (l == &links.qmgr)
		request_take(p);
	else if (l == &links.dnsd)
		request_answer(p);
	else
		link_complain(l, p->type);
}

static void
on_link(struct str peer, int fd)
{
	struct link *l = str_eq(peer, STR("qmgr"))     ? &links.qmgr
			 : str_eq(peer, STR("dnsd"))   ? &links.dnsd
			 : str_eq(peer, STR("remote")) ? &links.remote
						       : NULL;

	if (l == NULL) {
		io_close(&fd);
		return;
	}
	link_close(l);
	request_link_lost(l);
	if (link_open(l, fd))
		request_link_made(l);
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
		.help = "usage: postern-dial\n\n"
			"Connects to mail hosts.  Run by postern-start; see "
			"postern-dial(8).\n",
		.on_link = on_link,
		.on_reload = reload,
	};

	role_init(&role, argc, argv);
	if (dialconf_own_addresses() < 0)
		die(EXITCODE_TEMPORARY, "getifaddrs", errno);
	conf = dialconf_load(ROLE_FD_CONTROL);
	if (conf == NULL)
		die_do(EXITCODE_PERMANENT, "the control files are wrong", 0,
		    "postern check says which, and how to write them");
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
