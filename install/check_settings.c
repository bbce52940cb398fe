/* SPDX-License-Identifier: ISC
 * check_settings: the control files and the directories.  Contract in check.h.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/address.h"
#include "common/control.h"
#include "common/domains.h"
#include "common/io.h"
#include "common/ip.h"
#include "install/check.h"
#include "install/json.h"
#include "install/places.h"
#include "queue/hostrules.h"
#include "send/route.h"
#include "start/endpoint.h"

static struct check *current; /* for the readers' complaints */

static void
print(const struct check *c, const char *kind, const char *file, unsigned line,
    const char *what)
{
	if (c->json) {
		printf("{\"kind\":\"%s\",\"file\":", kind);
		json_string(str_of(file));
		printf(",\"line\":%u,\"what\":", line);
		json_string(str_of(what));
		puts("}");
	} else if (line > 0) {
		printf("%s: %s:%u: %s\n", kind, file, line, what);
	} else {
		printf("%s: %s: %s\n", kind, file, what);
	}
}

void
check_mistake(
    struct check *c, const char *file, unsigned line, const char *what)
{
	c->mistakes++;
	print(c, "mistake", file, line, what);
}

void
check_warning(
    struct check *c, const char *file, unsigned line, const char *what)
{
	c->warnings++;
	print(c, "warning", file, line, what);
}

static void
on_mistake(const char *file, unsigned line, const char *what)
{
	check_mistake(current, file, line, what);
}

void
check_ignore(const char *file, unsigned line, const char *what)
{
	(void)file;
	(void)line;
	(void)what;
}

/* ---- what a line must be ---- */

static const char *
endpoint_line(struct str s)
{
	struct endpoint e;

	return endpoint_parse(s, &e)
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

static const char *
host_line(struct str s)
{
	return address_is_domain(s) ? NULL : "not a host name";
}

static const char *
address_line(struct str s)
{
	struct address a;

	return address_parse(s, true, &a) == ADDRESS_OK ? NULL
							: "not an address";
}

static const char *
text_line(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x20 || s.p[i] > 0x7e)
			return "only printable ASCII can be sent";
	return NULL;
}

static const struct {
	const char *name;
	const char *(*line)(struct str);
} meanings[] = {
	{ "smtplisten", endpoint_line },
	{ "pop3listen", endpoint_line },
	{ "relayclients", net_line },
	{ "dialrefuse", net_line },
	{ "resolvers", resolver_line },
	{ "me", host_line },
	{ "helohost", host_line },
	{ "bouncehost", host_line },
	{ "postmaster", address_line },
	{ "smtpgreeting", text_line },
};

static const char *
on_line(void *arg, struct str line, unsigned number)
{
	const char *(*const *check)(struct str) = arg;

	(void)number;
	return *check == NULL ? NULL : (*check)(line);
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
		if (control_line(dir, s->name, &b) < 0 || line == NULL)
			break;
		wrong = line(buf_str(&b));
		if (wrong != NULL)
			check_mistake(c, s->name, 1, wrong);
		break;
	case CONTROL_LIST:
		(void)control_list(dir, s->name, on_line, &line);
		break;
	}
}

void
check_settings(struct check *c, int dir)
{
	current = c;
	control_on_mistake(on_mistake);
	for (size_t i = 0; i < control_setting_count; i++) {
		const struct control_setting *s = &control_settings[i];
		const char *(*line)(struct str) = NULL;
		/* these five are read by those who use them, below */
		if (strcmp(s->name, "locals") == 0 ||
		    strcmp(s->name, "virtualdomains") == 0 ||
		    strcmp(s->name, "rcpthosts") == 0 ||
		    strcmp(s->name, "smtproutes") == 0 ||
		    strcmp(s->name, "destinations") == 0)
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

void
check_unknown(struct check *c, int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (d == NULL) {
		io_close(&fd);
		check_mistake(c, "control", 0, strerror(errno));
		return;
	}
	for (const struct dirent *e; (e = readdir(d)) != NULL;) {
		if (e->d_name[0] == '.' || strcmp(e->d_name, "users") == 0 ||
		    control_find(e->d_name) != NULL)
			continue;
		check_warning(c, e->d_name, 0,
		    "no setting has this name: it does nothing");
	}
	closedir(d);
}

/* ---- directories ---- */

static void
place_check(struct check *c, const struct place *p)
{
	const char *path = layout_path(p->where);
	struct stat st;

	if (lstat(path, &st) < 0) {
		/* start makes it, after each boot */
		if (p->where != LAYOUT_RUN || errno != ENOENT)
			check_mistake(c, path, 0, strerror(errno));
		return;
	}
	const struct passwd *pw = getpwuid(st.st_uid);
	const struct group *gr = getgrgid(st.st_gid);
	bool owned = pw != NULL && gr != NULL &&
		     strcmp(pw->pw_name, p->user) == 0 &&
		     strcmp(gr->gr_name, p->group) == 0;
	/* in a one-user suite all belongs to that user */
	if (geteuid() != 0)
		owned = st.st_uid == geteuid() || owned;
	char text[256];
	snprintf(text, sizeof(text),
	    "must belong to %s:%s with mode %04o (postern init mends it)",
	    p->user, p->group, (unsigned)p->mode);
	if (!S_ISDIR(st.st_mode))
		check_mistake(c, path, 0, "is not a directory");
	else if (!owned || (st.st_mode & 07777) != p->mode)
		check_mistake(c, path, 0, text);
}

void
check_places(struct check *c)
{
	for (size_t i = 0; i < place_count; i++)
		place_check(c, &places[i]);
}
