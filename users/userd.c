/* SPDX-License-Identifier: ISC
 * postern-userd: who exists, where their mail goes, and who may log in. Answers
 * smtpd (R), qmgr (W), popup (L) and the administrator (Q, H) from the same
 * tables in memory.  Resident, runs as posternu; parses addresses, user names
 * and passwords.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/die.h"
#include "common/io.h"
#include "common/limits.h"
#include "common/link.h"
#include "common/log.h"
#include "common/privs.h"
#include "common/role.h"
#include "common/sandbox.h"
#include "users/client.h"
#include "users/hasher.h"
#include "users/login.h"
#include "users/resolve.h"

static const struct sandbox_rule rules[] = {
	ALLOW_HEAP,
	ALLOW_LOOP,
	ALLOW_PACKETS,
	ALLOW_IF(openat, 3,
	    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
	    "read the tables and settings again"),
	ALLOW(fstat, "is it a plain file? how long is it?"),
	ALLOW(newfstatat, "fstat of newer libc"),
	ALLOW(pread64, "the snapshot of system accounts"),
	ALLOW_IF(fcntl, 2, F_GETFL, "O_NONBLOCK of a fresh link"),
	ALLOW_IF(fcntl, 2, F_SETFL, "O_NONBLOCK of a fresh link"),
	ALLOW(accept4, "callers at run/users"),
	ALLOW_IF(getsockopt, 3, SO_PEERCRED, "who the caller is"),
};

static const struct sandbox_dir dirs[] = {
	{ .fd = ROLE_FD_CONTROL },
	{ .fd = ROLE_FD_DIR },
};

static const struct sandbox sandbox = {
	.role = "userd",
	.rules = rules,
	.rule_count = N_ELEMENTS(rules),
	.dirs = dirs,
	.dir_count = N_ELEMENTS(dirs),
};

static void take_session(struct link *, struct packet *, int *, size_t);

/* Over these links listen's sessions come. */
static struct link listeners[] = {
	LINK_DOWN("listen-smtp", take_session, NULL, NULL),
	LINK_DOWN("listen-pop3", take_session, NULL, NULL),
};

static struct tables *tables;
static struct table *accounts;
static char wrong_room[TABLES_ERROR];

/* ---- tables ---- */

static void
tables_in_force(void)
{
	client_tables = login_tables = tables;
	client_accounts = login_accounts = accounts;
}

/* Mail for postmaster is accepted whatever happens; it should arrive. */
static void
warn_about_postmaster(void)
{
	struct resolved r;
	if (!tables || !accounts)
		return;
	resolve(tables, accounts, STR("postmaster"), &r, NULL);
	if (r.kind == RESOLVE_NOBODY)
		LOG(WARN, "config-warning", F_TEXT("file", "postmaster"),
		    F_STR("value", tables->postmaster),
		    F_TEXT("what", resolve_text(r.kind)));
}

/* All or nothing: NULL, or what is wrong; then the old tables stay. */
static const char *
reload(void)
{
	struct buf wrong = BUF_ON(wrong_room);
	struct tables *new = tables_load(ROLE_FD_CONTROL, ROLE_FD_DIR, &wrong);
	if (!new) {
		const char *text = buf_cstr(&wrong);
		return text ? text : "the tables are wrong";
	}
	tables_free(tables);
	tables = new;
	tables_in_force();
	LOG(INFO, "tables", F_NUM("users", table_count(new->users)),
	    F_NUM("aliases",
		table_count(new->aliases) + table_count(new->imported)),
	    F_NUM("relayrcpts", table_count(new->relays)));
	warn_about_postmaster();
	return NULL;
}

static void
on_reload(void)
{
	(void)reload(); /* it has logged why */
}

static void
take_accounts(int fd)
{
	struct table *new = tables_accounts(fd);
	io_close(&fd);
	if (!new)
		return;
	table_free(accounts);
	accounts = new;
	tables_in_force();
	warn_about_postmaster();
}

/* ---- links ---- */

static void
take_session(struct link *l, struct packet *p, int *fds, size_t nfds)
{
	struct str sid = packet_get_str(p, LIMIT_SID);
	struct str ip = packet_get_str(p, LIMIT_PEER);
	struct str service = packet_get_str(p, LIMIT_USER);
	bool pop3 = str_eq(service, STR("pop3"));
	if (!packet_end(p) || p->type != 'S' || nfds != 1 ||
	    (!pop3 && !str_eq(service, STR("smtp")))) {
		link_complain(l, p->type);
		return;
	}
	client_session(fds[0], sid, ip, pop3 ? CLIENT_L : CLIENT_R);
	fds[0] = -1;
}

static void
on_link(struct str peer, int fd)
{
	for (size_t i = 0; i < N_ELEMENTS(listeners); i++) {
		if (str_eq(peer, str_of(listeners[i].name))) {
			(void)link_open(&listeners[i], fd);
			return;
		}
	}
	if (str_eq(peer, STR("qmgr")))
		client_link(fd);
	else if (str_eq(peer, STR("become")))
		login_link(fd);
	else if (str_eq(peer, STR("accounts")))
		take_accounts(fd);
	else {
		LOG(ERROR, "unknown-link", F_STR("peer", peer));
		io_close(&fd);
	}
}

/* ---- start ---- */

static uid_t
uid_of(const char *user)
{
	uid_t uid;
	gid_t gid;
	return privs_lookup(user, &uid, &gid) == 0 ? uid : (uid_t)-1;
}

static struct client_users
known_users(void)
{
	struct client_users u = { .own = geteuid(),
		.smtpd = uid_of("posternd"),
		.popup = uid_of("posternp") };
	u.one = uid_of("posternu") != u.own;
	return u;
}

/* The socket at run/users; a harness may do without. */
static int
listening_socket(void)
{
	int on = 0;
	socklen_t n = sizeof(on);
	if (getsockopt(ROLE_FD_LISTEN, SOL_SOCKET, SO_ACCEPTCONN, &on, &n) <
		0 ||
	    !on)
		return -1;
	if (io_nonblock(ROLE_FD_LISTEN, true) < 0)
		die(EXITCODE_TEMPORARY, "fcntl", errno);
	return ROLE_FD_LISTEN;
}

static int
before_wait(void)
{
	int logins = login_expire(), clients = client_expire();
	return (int)loop_sooner(logins, clients);
}

static const struct role role = {
	.name = "userd",
	.user = "posternu",
	.help = "usage: postern-userd\n\n"
		"Answers who exists and who may log in.  Run by "
		"postern-start; see\npostern-userd(8).\n",
	.on_link = on_link,
	.on_reload = on_reload,
};

int
main(int argc, char **argv)
{
	role_init(&role, argc, argv);
	hasher_start();
	struct client_users users = known_users();
	int listen_fd = listening_socket();
	client_reload = reload;
	on_reload();
	sandbox_enter(&sandbox);
	hasher_watch();
	client_init(&users, listen_fd);
	role_ready();
	loop_run(before_wait);
	return EXITCODE_DONE;
}
