/* SPDX-License-Identifier: ISC
 * check_net: where connections come from and go to.  Contract in check.h.
 * Lines that cannot be read are left to check_settings.
 */
#include <string.h>
#include "common/control.h"
#include "common/limits.h"
#include "install/check.h"
#include "install/ownaddr.h"
#include "send/route.h"
#include "start/endpoint.h"

enum { ADDRESSES_MAX = 4 }; /* of a service; start takes no more */

static struct check *current;
static const char *file; /* that is being read */

/* ---- smtplisten, pop3listen ---- */

static struct listener {
	struct endpoint at;
	const char *file;
	unsigned line;
} listeners[2 * ADDRESSES_MAX];
static size_t listener_count;
static unsigned lines;	 /* of this file */
static bool listens_not; /* the line `none` */

static bool
collide(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && ip_is_v4(&a->ip) == ip_is_v4(&b->ip) &&
	       (ip_eq(&a->ip, &b->ip) || ownaddr_is_any(&a->ip) ||
		   ownaddr_is_any(&b->ip));
}

static const char *
listen_line(void *arg, struct str line, unsigned number)
{
	struct endpoint e;

	(void)arg;
	if (endpoint_is_none(line))
		listens_not = true;
	if (!endpoint_parse(line, &e))
		return NULL;
	if (++lines == ADDRESSES_MAX + 1)
		check_mistake(current, file, number,
		    "a service has at most 4 addresses: remove some, or use "
		    "0.0.0.0 and [::], which stand for all");
	if (!ownaddr_is_any(&e.ip) && !ownaddr_has(&e.ip))
		check_say(current, CHECK_MISTAKE, file, number,
		    "this host has no such address: write one that `ip addr` "
		    "shows, or %s:%u for all",
		    ip_is_v4(&e.ip) ? "0.0.0.0" : "[::]", e.port);
	for (size_t i = 0; i < listener_count; i++)
		if (collide(&e, &listeners[i].at)) {
			check_say(current, CHECK_MISTAKE, file, number,
			    "%s:%u takes this address and port already: remove "
			    "one",
			    listeners[i].file, listeners[i].line);
			break;
		}
	if (listener_count < N_ELEMENTS(listeners))
		listeners[listener_count++] =
		    (struct listener){ .at = e, .file = file, .line = number };
	return NULL;
}

static void
listeners_check(int dir, const char *name)
{
	file = name;
	lines = 0;
	listens_not = false;
	if (control_list(dir, name, listen_line, NULL) < 0)
		return;
	if (lines == 0 && !listens_not)
		check_mistake(current, name, 0,
		    "names no address, and so the suite does not start: "
		    "remove the file to listen on all, or write none");
	if (lines > 0 && listens_not)
		check_mistake(current, name, 0,
		    "has both none and an address, and so the suite does not "
		    "start: remove one of them");
}

/* ---- smtproutes ---- */

static bool
is_this_host(struct str host, struct str me)
{
	struct ip ip;

	if (ip_parse(host, &ip))
		return ownaddr_is_any(&ip) || ownaddr_has(&ip);
	return str_ieq(host, me) || str_ieq(host, STR("localhost"));
}

static bool
smtp_listens(uint16_t port)
{
	for (size_t i = 0; i < listener_count; i++)
		if (strcmp(listeners[i].file, "smtplisten") == 0 &&
		    listeners[i].at.port == port)
			return true;
	return false;
}

static const char *
route_line(void *arg, struct str line, unsigned number)
{
	const struct buf *me = arg;
	struct route r;

	if (route_parse(line, &r) == NULL && r.host.n > 0 &&
	    is_this_host(r.host, buf_str(me)) && smtp_listens(r.port))
		check_say(current, CHECK_MISTAKE, file, number,
		    "%.*s:%u is this host, so mail would go round in a loop: "
		    "name the host that it is for",
		    (int)r.host.n, r.host.p, r.port);
	return NULL;
}

/* ---- relayclients, dialrefuse ---- */

/* Bits beyond the first net->bits. */
static bool
has_host_bits(const struct ip_net *net)
{
	for (unsigned bit = net->bits; bit < 128; bit++)
		if ((net->base.b[bit / 8] & (0x80u >> bit % 8)) != 0)
			return true;
	return false;
}

static const char *
net_line(void *arg, struct str line, unsigned number)
{
	const char *wide = arg;
	struct ip_net net;

	if (!ip_net_parse(line, &net))
		return NULL;
	unsigned bits = ip_is_v4(&net.base) ? net.bits - 96 : net.bits;
	if (bits < 8)
		check_say(current, CHECK_MISTAKE, file, number,
		    "%.*s is a good part of the Internet, so %s", (int)line.n,
		    line.p, wide);
	else if (has_host_bits(&net))
		check_say(current, CHECK_WARNING, file, number,
		    "stands for the whole network of %u bits: write its first "
		    "address, or the one address alone",
		    bits);
	return NULL;
}

static void
nets_check(int dir, const char *name, const char *wide)
{
	char room[160];
	struct buf b = BUF_ON(room);

	file = name;
	buf_puts(&b, wide);
	if (buf_cstr(&b) != NULL)
		(void)control_list(dir, name, net_line, room);
}

void
check_net(struct check *c, int dir)
{
	char room[CONTROL_LINE_MAX];
	struct buf me = BUF_ON(room);

	current = c;
	listener_count = 0;
	control_on_mistake(check_ignore);
	listeners_check(dir, "smtplisten");
	listeners_check(dir, "pop3listen");
	if (control_line(dir, "me", &me) == 0) {
		file = "smtproutes";
		(void)control_list(dir, file, route_line, &me);
	}
	nets_check(dir, "relayclients",
	    "strangers send their spam through this host: name your own "
	    "networks only");
	nets_check(
	    dir, "dialrefuse", "hardly any mail leaves: name smaller networks");
	control_on_mistake(NULL);
}
