/* SPDX-License-Identifier: ISC
 * check_settings: the control files.  Contract in check.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "common/control.h"
#include "common/domains.h"
#include "common/ip.h"
#include "common/meaning.h"
#include "common/table.h"
#include "filter/command.h"
#include "install/check.h"
#include "queue/hostrules.h"
#include "send/route.h"
#include "start/endpoint.h"

static struct check *current; /* for the readers' complaints */

static void
on_mistake(const char *file, unsigned line, const char *what)
{
	check_mistake(current, file, line, what);
}

/* ---- what a line must be ---- */

static const char *
endpoint_line(struct str s)
{
	struct endpoint e;

	return endpoint_is_none(s) || endpoint_parse(s, &e)
		   ? NULL
		   : "write address:port, as 0.0.0.0:25 or [::]:25";
}

static const char *
net_line(struct str s)
{
	struct ip_net net;

	return ip_net_parse(s, &net) ? NULL
				     : "write a network as 192.0.2.0/24, "
				       "192.0.2. or 2001:db8::/32";
}

static const char *
resolver_line(struct str s)
{
	struct str host;
	struct str port;
	struct ip ip;
	uint64_t number;
	bool with_port = str_cut(s, '@', &host, &port);

	if (!ip_parse(host, &ip) ||
	    (with_port && (!str_u64(port, 65535, &number) || number == 0)))
		return "write a DNS server as 192.0.2.53 or 192.0.2.53@5353";
	return NULL;
}

/* An ordinary user looks at a suite of one user, whose programs may be that
 * user's. */
static const char *
filter_line(struct str s)
{
	struct command c;
	const char *wrong = s.n == 0 ? NULL : command_parse(s, &c);

	if (s.n == 0 || wrong != NULL)
		return wrong;
	return command_check(c.argv[0], geteuid());
}

static const struct {
	const char *name;
	const char *(*line)(struct str);
} meanings[] = {
	{ "filter", filter_line },
	{ "smtplisten", endpoint_line },
	{ "pop3listen", endpoint_line },
	{ "relayclients", net_line },
	{ "dialrefuse", net_line },
	{ "resolvers", resolver_line },
};

static const char *
on_line(void *arg, struct str line, unsigned number)
{
	const char *(*const *check)(struct str) = arg;

	(void)number;
	return *check == NULL ? NULL : (*check)(line);
}

struct twice {
	struct check *c;
	const char *name;
	struct table *seen;
};

static const char *
twice_line(void *arg, struct str line, unsigned number)
{
	struct twice *t = arg;

	if (table_put(t->seen, line, STR("")) < 0 && errno == EEXIST)
		check_warning(t->c, t->name, number,
		    "an earlier line says the same: remove one");
	return NULL;
}

/* A host that others are told of. */
static bool
is_host(const char *name)
{
	return strcmp(name, "me") == 0 || strcmp(name, "helohost") == 0 ||
	       strcmp(name, "bouncehost") == 0;
}

/* Names without a dot are known on one network only. */
static void
dot_check(struct check *c, const char *name, struct str host)
{
	if (str_find(host, '.') == host.n)
		check_say(c, CHECK_WARNING, name, 0,
		    "%.*s is no full name, and many servers refuse mail from "
		    "it: write one, as mail.example.org",
		    (int)host.n, host.p);
}

/* A line twice does no harm, but one of them is a mistake. */
static void
twice_check(struct check *c, int dir, const char *name)
{
	struct twice t = { .c = c, .name = name, .seen = table_new() };

	control_on_mistake(check_ignore);
	if (t.seen != NULL)
		(void)control_list(dir, name, twice_line, &t);
	control_on_mistake(on_mistake);
	table_free(t.seen);
}

/* What has its default is said of the file that this comes from, me; and that
 * always, for it comes from the host else. */
static bool
is_there(int dir, const char *name)
{
	return strcmp(name, "me") == 0 || faccessat(dir, name, F_OK, 0) == 0 ||
	       errno != ENOENT;
}

static void
setting_check(struct check *c, int dir, const struct control_setting *s,
    const char *(*line)(struct str))
{
	char text[CONTROL_LINE_MAX];
	struct buf b = BUF_ON(text);
	uint64_t number;
	const char *wrong;

	switch (s->kind) {
	case CONTROL_NUMBER: /* the reader complains */
		(void)control_number(dir, s->name, &number);
		break;
	case CONTROL_LINE:
		if (!is_there(dir, s->name) ||
		    control_line(dir, s->name, &b) < 0)
			break;
		wrong = line != NULL ? line(buf_str(&b))
				     : meaning_wrong(s->name, buf_str(&b));
		if (wrong != NULL)
			check_mistake(c, s->name, 1, wrong);
		else if (is_host(s->name))
			dot_check(c, s->name, buf_str(&b));
		break;
	case CONTROL_LIST:
		(void)control_list(dir, s->name, on_line, &line);
		/* of these check_net tells */
		if (line != endpoint_line)
			twice_check(c, dir, s->name);
		break;
	}
}

/* These are read by those who use them. */
static bool
has_reader(const char *name)
{
	static const char *const names[] = { "locals", "virtualdomains",
		"rcpthosts", "smtproutes", "destinations" };

	for (size_t i = 0; i < N_ELEMENTS(names); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

void
check_settings(struct check *c, int dir)
{
	current = c;
	control_on_mistake(on_mistake);
	for (size_t i = 0; i < control_setting_count; i++) {
		const struct control_setting *s = &control_settings[i];
		const char *(*line)(struct str) = NULL;
		if (has_reader(s->name))
			continue;
		for (size_t k = 0; k < N_ELEMENTS(meanings); k++)
			if (strcmp(meanings[k].name, s->name) == 0)
				line = meanings[k].line;
		setting_check(c, dir, s, line);
	}
	domains_free(domains_load(dir));
	routes_free(routes_load(dir));
	hostrules_free(hostrules_load(dir));
	control_on_mistake(NULL);
}
