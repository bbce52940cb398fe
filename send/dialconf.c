/* SPDX-License-Identifier: ISC
 * dialconf: see dialconf.h.
 */
#include "send/dialconf.h"

#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include "common/control.h"
#include "common/limits.h"
#include "common/log.h"

enum { OWN_MAX = 1024 };

struct dialconf {
	struct walk_world world;
	struct routes *routes;
	int64_t connect_ms;
	char me[CONTROL_LINE_MAX], helo[CONTROL_LINE_MAX];
	struct ip_net refused[LIMIT_NETWORKS]; /* control.c takes no more */
};

static struct ip own[OWN_MAX];
static size_t own_count;

int
dialconf_own_addresses(void)
{
	struct ifaddrs *list;

	if (getifaddrs(&list) < 0)
		return -1;
	for (struct ifaddrs *i = list; i != NULL; i = i->ifa_next) {
		struct sockaddr_storage ss = { 0 };
		uint16_t port;

		if (i->ifa_addr == NULL)
			continue;
		if (i->ifa_addr->sa_family == AF_INET)
			memcpy(&ss, i->ifa_addr, sizeof(struct sockaddr_in));
		else if (i->ifa_addr->sa_family == AF_INET6)
			memcpy(&ss, i->ifa_addr, sizeof(struct sockaddr_in6));
		else
			continue;
		if (own_count < OWN_MAX &&
		    ip_from_sockaddr(&ss, &own[own_count], &port))
			own_count++;
	}
	freeifaddrs(list);
	return 0;
}

static const char *
take_network(void *arg, struct str line, unsigned number)
{
	struct dialconf *conf = arg;

	(void)number;
	if (!ip_net_parse(
		str_trim(line), &conf->refused[conf->world.refused_count]))
		return "not a network";
	conf->world.refused_count++;
	return NULL;
}

static bool
load(struct dialconf *conf, int dirfd)
{
	struct buf me = BUF_ON(conf->me), helo = BUF_ON(conf->helo);
	uint64_t seconds;

	conf->routes = routes_load(dirfd);
	if (conf->routes == NULL ||
	    control_number(dirfd, "timeoutconnect", &seconds) < 0 ||
	    control_line(dirfd, "me", &me) < 0 ||
	    control_line(dirfd, "helohost", &helo) < 0 ||
	    control_list(dirfd, "dialrefuse", take_network, conf) < 0)
		return false;
	conf->connect_ms = (int64_t)seconds * 1000;
	conf->world.routes = conf->routes;
	conf->world.refused = conf->refused;
	conf->world.own_ips = own;
	conf->world.own_ip_count = own_count;
	conf->world.own_names[0] = buf_str(&me);
	conf->world.own_names[1] = buf_str(&helo);
	return true;
}

struct dialconf *
dialconf_load(int control_dirfd)
{
	struct dialconf *conf = calloc(1, sizeof(*conf));

	if (conf == NULL) {
		LOG(ERROR, "config-error", F_ERRNO(errno));
		return NULL;
	}
	if (load(conf, control_dirfd))
		return conf;
	dialconf_free(conf);
	return NULL;
}

void
dialconf_free(struct dialconf *conf)
{
	if (conf == NULL)
		return;
	routes_free(conf->routes);
	free(conf);
}

const struct walk_world *
dialconf_world(const struct dialconf *conf)
{
	return &conf->world;
}

int64_t
dialconf_connect_ms(const struct dialconf *conf)
{
	return conf->connect_ms;
}
