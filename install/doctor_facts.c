/* SPDX-License-Identifier: ISC
 * doctor_facts: what the settings say, for the tests of `postern doctor`.
 * Contract in doctor.h.
 */
#include <string.h>
#include <unistd.h>
#include "common/address.h"
#include "install/check.h"
#include "install/doctor.h"
#include "install/ownaddr.h"
#include "install/running.h"
#include "send/route.h"
#include "start/endpoint.h"

enum { SMTP_PORT = 25 };

static void
line_read(int dir, const char *name, char room[static CONTROL_LINE_MAX])
{
	struct buf b = { .p = room, .cap = CONTROL_LINE_MAX };

	if (control_line(dir, name, &b) < 0 || buf_cstr(&b) == NULL)
		room[0] = '\0'; /* doctor_host tells of check's findings */
}

static void
domain_add(struct doctor *d, struct str domain)
{
	if (!address_is_domain(domain) || str_ieq(domain, STR("localhost")))
		return; /* .below, literals */
	for (size_t i = 0; i < d->domain_count; i++)
		if (str_ieq(str_of(d->domain[i]), domain))
			return;
	if (d->domain_count == DOCTOR_DOMAINS) {
		d->domains_left_out++;
		return;
	}
	struct buf b = { .p = d->domain[d->domain_count], .cap = DOCTOR_NAME };
	buf_put_lower(&b, domain);
	if (buf_cstr(&b) != NULL)
		d->domain_count++;
}

static const char *
on_domain(void *arg, struct str line, unsigned number)
{
	struct str domain;
	struct str user;

	(void)number;
	str_cut(line, ':', &domain, &user);
	domain_add(arg, str_trim(domain));
	return NULL;
}

static const char *
on_listen(void *arg, struct str line, unsigned number)
{
	struct doctor *d = arg;
	struct endpoint e;

	(void)number;
	d->leaves_25 = endpoint_is_none(line);
	if (endpoint_parse(line, &e) && e.port == SMTP_PORT &&
	    !ownaddr_is_loopback(&e.ip))
		d->listens_25 = true;
	return NULL;
}

static bool
is_link_local(const struct ip *ip)
{
	struct ip_net net;

	return (ip_net_parse(STR("fe80::/10"), &net) && ip_net_has(&net, ip)) ||
	       (ip_net_parse(STR("169.254.0.0/16"), &net) &&
		   ip_net_has(&net, ip));
}

static void
own_read(struct doctor *d)
{
	static struct ip all[OWNADDR_MAX];
	size_t n = ownaddr_list(all, N_ELEMENTS(all));

	for (size_t i = 0; i < n && d->own_count < DOCTOR_ADDRESSES; i++)
		if (!ownaddr_is_loopback(&all[i]) && !is_link_local(&all[i]))
			d->own[d->own_count++] = all[i];
	(void)ownaddr_has(&all[0]); /* it keeps the list: asked later */
}

static void
out_set(struct doctor *d, struct str domain)
{
	struct buf b = { .p = d->out, .cap = DOCTOR_NAME };

	buf_put_lower(&b, domain);
	if (buf_cstr(&b) == NULL)
		d->out[0] = '\0';
}

static bool
is_ours(const struct doctor *d, struct str domain)
{
	for (size_t i = 0; i < d->domain_count; i++)
		if (str_ieq(str_of(d->domain[i]), domain))
			return true;
	return str_ieq(str_of(d->me), domain);
}

/* Where a first connection may go without asking: the host that takes all our
 * mail, or where the postmaster's mail goes. */
static void
out_find(struct doctor *d, int dir)
{
	char text[CONTROL_LINE_MAX];
	struct str host;
	struct str domain;
	struct routes *routes = routes_load(dir);

	d->is_smarthost =
	    routes != NULL && routes_find(routes, STR("postern-doctor.invalid"),
				  &host, &d->out_port);
	if (d->is_smarthost)
		out_set(d, host);
	routes_free(routes);
	line_read(dir, "postmaster", text);
	domain = address_split(str_of(text)).domain;
	if (!d->is_smarthost && domain.n > 0 && !is_ours(d, domain))
		out_set(d, domain);
}

void
doctor_facts(struct doctor *d, int dir, const char *out)
{
	static struct running rows[RUNNING_MAX];

	control_on_mistake(check_ignore);
	line_read(dir, "me", d->me);
	line_read(dir, "helohost", d->helo);
	(void)control_list(dir, "locals", on_domain, d);
	(void)control_list(dir, "virtualdomains", on_domain, d);
	(void)control_list(dir, "smtplisten", on_listen, d);
	own_read(d);
	if (out != NULL)
		out_set(d, str_of(out));
	else
		out_find(d, dir);
	control_on_mistake(NULL);
	d->runs = running_read(rows) > 0;
}
