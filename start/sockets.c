/* SPDX-License-Identifier: ISC
 * sockets: contract in sockets.h.  Runs as root, so that no role has to.
 */
#include "start/sockets.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "common/control.h"
#include "common/advice.h"
#include "common/die.h"
#include "common/log.h"
#include "start/endpoint.h"
#include "start/passed.h"

enum {
	BACKLOG = 65535, /* the kernel cuts it down to net.core.somaxconn */
	BIND_TRIES = 60, /* roles of a start that was killed may still go */
	BIND_PAUSE_MS = 50
};

static void
keep(struct child *c, int fd)
{
	if (c->socket_count == PLAN_SOCKETS)
		die_do(EXITCODE_PERMANENT, "at most 4 addresses per service", 0,
		    "remove some from control/smtplisten or pop3listen");
	c->sockets[c->socket_count++] = fd;
}

void
sockets_open_unix(int run_dirfd, struct child *c)
{
	const char *name = c->plan->socket;
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct buf b = { .p = sa.sun_path, .cap = sizeof(sa.sun_path) };

	/* through the descriptor: the real path may be too long for sun_path */
	buf_puts(&b, "/proc/self/fd/");
	buf_put_u64(&b, (uint64_t)run_dirfd);
	buf_putc(&b, '/');
	buf_puts(&b, name);
	int fd = socket(
	    AF_UNIX, c->plan->socket_type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || b.full)
		die(EXITCODE_TEMPORARY, "cannot make a socket", errno);
	if (unlinkat(run_dirfd, name, 0) < 0 && errno != ENOENT)
		die_do(EXITCODE_PERMANENT, "cannot replace a socket below run/",
		    errno, advice_file(errno));
	mode_t mask = umask(0177);
	int r = bind(fd, (const struct sockaddr *)&sa, sizeof(sa));
	umask(mask);
	if (r < 0 || fchownat(run_dirfd, name, c->uid, c->gid, 0) < 0 ||
	    fchmodat(run_dirfd, name, c->plan->socket_mode, 0) < 0 ||
	    listen(fd, BACKLOG) < 0)
		die_do(EXITCODE_PERMANENT, "cannot make a socket below run/",
		    errno, advice_file(errno));
	keep(c, fd);
}

static int
bind_patiently(int fd, const struct sockaddr_storage *sa, socklen_t n)
{
	const struct timespec pause = { .tv_nsec = BIND_PAUSE_MS * 1000000L };

	for (int i = 0; i < BIND_TRIES; i++) {
		if (bind(fd, (const struct sockaddr *)sa, n) == 0)
			return 0;
		if (errno != EADDRINUSE)
			return -1;
		nanosleep(&pause, NULL);
	}
	errno = EADDRINUSE;
	return -1;
}

static void
tcp_open(struct child *c, const struct endpoint *e, struct str line)
{
	struct sockaddr_storage sa;
	socklen_t n = ip_to_sockaddr(&e->ip, e->port, &sa);
	int on = 1;
	int fd =
	    socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 && errno == EAFNOSUPPORT) {
		LOG(WARN, "no-ipv6", F_STR("address", line));
		return;
	}
	if (fd < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    (sa.ss_family == AF_INET6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0))
		die(EXITCODE_TEMPORARY, "cannot make a TCP socket", errno);
	if (bind_patiently(fd, &sa, n) < 0 || listen(fd, BACKLOG) < 0) {
		int error = errno;
		if (error == EADDRNOTAVAIL && sa.ss_family == AF_INET6 &&
		    str_starts(line, STR("[::]"))) {
			LOG(WARN, "no-ipv6", F_STR("address", line));
			close(fd);
			return;
		}
		LOG(ERROR, "bind", F_TEXT("file", c->plan->tcp),
		    F_STR("address", line), F_ERRNO(error));
		die_do(EXITCODE_PERMANENT, "cannot listen", error,
		    advice_listen(error));
	}
	keep(c, fd);
}

static const char wrong_line[] =
    "write address:port, as 0.0.0.0:25 or [::]:25; or none";
static const char too_many[] = "at most 4 addresses";

static const char *
on_line(void *arg, struct str line, unsigned number)
{
	struct child *c = arg;
	struct endpoint e;

	(void)number;
	if (endpoint_is_none(line)) {
		c->unwanted = true;
		return NULL;
	}
	if (!endpoint_parse(line, &e))
		return wrong_line;
	if (c->listen_count == PLAN_SOCKETS)
		return too_many;
	c->listens[c->listen_count++] = e;
	tcp_open(c, &e, line);
	return NULL;
}

void
sockets_open_tcp(int control_dirfd, struct child *c)
{
	struct str service = str_of(c->plan->argument);

	c->passed = passed_any(service);
	if (c->passed) {
		for (int fd; (fd = passed_next(service)) >= 0;)
			keep(c, fd);
		LOG(INFO, "passed-sockets", F_STR("service", service),
		    F_NUM("count", c->socket_count));
		return;
	}
	if (control_list(control_dirfd, c->plan->tcp, on_line, c) < 0)
		die_do(EXITCODE_PERMANENT, "wrong listening addresses", 0,
		    "mend what config-error above names");
	if (c->unwanted && c->listen_count > 0)
		die_do(EXITCODE_PERMANENT,
		    "both none and an address to listen on", 0,
		    "remove one of them: postern check says where");
	if (c->unwanted)
		LOG(INFO, "listens-not", F_TEXT("name", c->plan->name));
	else if (c->socket_count == 0)
		die_do(EXITCODE_PERMANENT, "no address to listen on", 0,
		    "remove the empty control/smtplisten or pop3listen, or "
		    "write none into it");
}

/* ---- reload ---- */

struct listens {
	const struct child *c;
	size_t count;
	bool same, none;
};

static const char *
compare_line(void *arg, struct str line, unsigned number)
{
	struct listens *l = arg;
	struct endpoint e;

	(void)number;
	if (endpoint_is_none(line)) {
		l->none = true;
		return NULL;
	}
	if (!endpoint_parse(line, &e))
		return wrong_line;
	if (l->count >= l->c->listen_count ||
	    !ip_eq(&e.ip, &l->c->listens[l->count].ip) ||
	    e.port != l->c->listens[l->count].port)
		l->same = false;
	l->count++;
	return NULL;
}

void
sockets_compare_tcp(int control_dirfd, const struct child *c)
{
	struct listens l = { .c = c, .same = true };

	if (c->plan->tcp == NULL || c->passed ||
	    control_list(control_dirfd, c->plan->tcp, compare_line, &l) < 0)
		return;
	if (!l.same || l.none != c->unwanted || l.count != c->listen_count)
		LOG(WARN, "listen-unchanged", F_TEXT("file", c->plan->tcp),
		    F_TEXT("fix",
			"restart postern-start: addresses are bound at its "
			"start only"));
}
