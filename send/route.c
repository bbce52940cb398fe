/* SPDX-License-Identifier: ISC
 * route: see route.h.
 */
#include "send/route.h"

#include <stdlib.h>
#include <string.h>
#include "common/address.h"
#include "common/control.h"
#include "common/ip.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/table.h"

struct line {
	struct line *next; /* the one before it in the file */
	size_t n;
	char bytes[];
};

struct routes {
	struct table *table; /* domain, lower case -> port (2 bytes), host */
};

static bool
is_domain_pattern(struct str s)
{
	if (s.n > 0 && s.p[0] == '.')
		s = str_skip(s, 1);
	else if (s.n == 0)
		return true;
	return address_is_domain(s) || address_is_literal(s);
}

/* Takes the host from the front of *rest: in brackets, or up to the colon. */
static const char *
host_take(struct str *rest, struct str *host)
{
	struct ip ip;

	if (rest->n == 0 || rest->p[0] != '[') {
		str_cut(*rest, ':', host, rest);
		if (host->n > 0 && !address_is_domain(*host))
			return "the host is no host name: write one, or an "
			       "address (IPv6 in brackets)";
		return NULL;
	}
	if (!str_cut(str_skip(*rest, 1), ']', host, rest))
		return "a bracket is not closed: write [2001:db8::1]";
	if (str_istarts(*host, STR("IPv6:")))
		*host = str_skip(*host, 5);
	if (!ip_parse(*host, &ip))
		return "what stands in brackets is no address: write "
		       "[192.0.2.1] or [2001:db8::1]";
	if (rest->n > 0 && rest->p[0] != ':')
		return "only a port may follow the bracket: write "
		       "[2001:db8::1]:25";
	*rest = str_skip(*rest, 1);
	return NULL;
}

const char *
route_parse(struct str line, struct route *out)
{
	*out = (struct route){ .port = ROUTE_PORT };
	line = str_trim(line);
	size_t end = 0;
	if (line.n > 0 && line.p[0] == '[') {
		end = str_find(line, ']');
		if (end == line.n)
			return "a bracket is not closed: write [2001:db8::1]";
	}
	struct str rest;
	if (!str_cut(str_skip(line, end), ':', &out->domain, &rest))
		return "write domain:host or domain:host:port";
	out->domain = str_head(line, end + out->domain.n);
	if (!is_domain_pattern(out->domain))
		return "the domain is no domain name: write domain:host or "
		       "domain:host:port";
	const char *wrong = host_take(&rest, &out->host);
	if (wrong != NULL || rest.n == 0)
		return wrong;
	uint64_t port;
	if (!str_u64(rest, UINT16_MAX, &port) || port == 0)
		return "the port is not a number from 1 to 65535";
	if (out->host.n == 0)
		return "a port needs a host: write domain:host:port";
	out->port = (uint16_t)port;
	return NULL;
}

static const char *
keep_line(void *arg, struct str text, unsigned number)
{
	struct line **last = arg;
	struct route route;

	(void)number;
	const char *wrong = route_parse(text, &route);
	if (wrong != NULL)
		return wrong;
	struct line *line = malloc(sizeof(*line) + text.n);
	if (line == NULL)
		return "out of memory";
	line->n = text.n;
	memcpy(line->bytes, text.p, text.n);
	line->next = *last;
	*last = line;
	return NULL;
}

static bool
put_line(struct table *table, const struct line *line)
{
	char key_bytes[LIMIT_DOMAIN + 2], value_bytes[LIMIT_DOMAIN + 4];
	struct buf key = BUF_ON(key_bytes), value = BUF_ON(value_bytes);
	struct route route;

	if (route_parse((struct str){ line->bytes, line->n }, &route) != NULL)
		return false;
	buf_put_lower(&key, route.domain);
	buf_putc(&value, (char)(route.port >> 8));
	buf_putc(&value, (char)(route.port & 0xff));
	buf_put_lower(&value, route.host);
	if (key.full || value.full)
		return false;
	struct str seen;
	if (table_get(table, buf_str(&key), &seen))
		return true; /* a later line of the file: it counts */
	return table_put(table, buf_str(&key), buf_str(&value)) == 0;
}

struct routes *
routes_load(int control_dirfd)
{
	struct line *lines = NULL;
	struct routes *routes = calloc(1, sizeof(*routes));
	bool good = routes != NULL && (routes->table = table_new()) != NULL;

	good = good && control_list(
			   control_dirfd, "smtproutes", keep_line, &lines) == 0;
	while (lines != NULL) {
		struct line *line = lines;

		lines = line->next;
		if (good && !put_line(routes->table, line)) {
			LOG(ERROR, "config-error", F_TEXT("file", "smtproutes"),
			    F_TEXT("error", "out of memory"));
			good = false;
		}
		free(line);
	}
	if (good)
		return routes;
	routes_free(routes);
	return NULL;
}

void
routes_free(struct routes *routes)
{
	if (routes == NULL)
		return;
	table_free(routes->table);
	free(routes);
}

bool
routes_find(const struct routes *routes, struct str domain, struct str *host,
    uint16_t *port)
{
	char lower_bytes[LIMIT_DOMAIN + 1];
	struct buf lower = BUF_ON(lower_bytes);
	struct str value;

	buf_put_lower(&lower, domain);
	if (lower.full)
		return false;
	struct str key = buf_str(&lower);
	while (!table_get(routes->table, key, &value)) {
		if (key.n == 0)
			return false;
		key = str_skip(key, 1);
		key = str_skip(key, str_find(key, '.'));
	}
	if (value.n <= 2)
		return false;
	*port = (uint16_t)((unsigned char)value.p[0] << 8 |
			   (unsigned char)value.p[1]);
	*host = str_skip(value, 2);
	return true;
}
