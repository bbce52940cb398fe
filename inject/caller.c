/* SPDX-License-Identifier: ISC
 * caller: contract in caller.h.
 */
#include "inject/caller.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>
#include "common/address.h"
#include "common/control.h"
#include "common/io.h"
#include "common/layout.h"

enum { ROOT_MAX = 400 }; /* leaves room for what stands behind it */

void
caller_fill_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)open("/dev/null",
			    fd == STDIN_FILENO ? O_RDONLY : O_WRONLY);
}

bool
caller_layout(struct outcome *o)
{
	struct str root = str_of(getenv("POSTERN_ROOT"));

	if (root.n > 0 && (root.p[0] != '/' || root.n > ROOT_MAX)) {
		outcome_set_about(o, OUTCOME_USAGE,
		    "POSTERN_ROOT must begin with / and have 400 bytes at most",
		    root);
		return false;
	}
	layout_init();
	return true;
}

/* ---- the user ---- */

/* A name that can be a local part as it stands. */
static bool
is_plain_user(struct str s)
{
	char room[LIMIT_USER + 3];
	struct buf b = BUF_ON(room);
	struct address a;

	if (s.n == 0 || s.n > LIMIT_USER)
		return false;
	buf_put(&b, s);
	buf_puts(&b, "@x");
	return address_parse(buf_str(&b), false, &a) == ADDRESS_OK;
}

/* Up to the first comma, with & as the capitalised login name (passwd(5)). */
static void
put_full_name(struct buf *out, struct str gecos, struct str user)
{
	gecos = str_head(gecos, str_find(gecos, ','));
	for (size_t i = 0; i < gecos.n; i++) {
		if (gecos.p[i] != '&' || user.n == 0) {
			buf_putc(out, gecos.p[i]);
			continue;
		}
		char c = user.p[0];

		buf_putc(out, c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c);
		buf_put(out, str_skip(user, 1));
	}
}

static void
load_user(struct caller *c)
{
	struct buf user = BUF_ON(c->user_room), name = BUF_ON(c->name_room);
	const struct passwd *pw = getpwuid(getuid());
	struct str login = str_of(pw != NULL ? pw->pw_name : NULL);

	/* a uid without a name: in a container, say */
	if (!is_plain_user(login))
		login = str_of(getenv("LOGNAME"));
	if (!is_plain_user(login))
		login = str_of(getenv("USER"));
	if (!is_plain_user(login))
		login = STR("anonymous");
	buf_put(&user, login);
	if (pw != NULL)
		put_full_name(&name, str_of(pw->pw_gecos), login);
	c->user = buf_str(&user);
	c->name = name.full ? STR("") : buf_str(&name);
}

/* ---- control files ---- */

static struct outcome *complaint;

static void
on_mistake(const char *file, unsigned line, const char *what)
{
	(void)line;
	outcome_set_about(complaint, OUTCOME_CONFIG,
	    "the configuration is wrong (see postern check)", str_of(file));
	outcome_add(complaint, str_of(what));
}

/* A setting that holds a domain, or the fallback when it holds nothing. */
static bool
load_domain(int dirfd, const char *name, struct buf *b, struct str fallback,
    struct str *to)
{
	if (control_line(dirfd, name, b) < 0)
		return false;
	*to = buf_str(b).n > 0 ? buf_str(b) : fallback;
	if (to->n == 0 || address_is_domain(*to))
		return true;
	on_mistake(name, 1, "is no domain");
	return false;
}

static bool
load_settings(struct caller *c, int dirfd)
{
	static char me_room[LIMIT_DOMAIN + 1];
	struct buf me = BUF_ON(me_room), host = BUF_ON(c->host_room);
	struct buf domain = BUF_ON(c->domain_room);
	struct buf plus = BUF_ON(c->plus_room), id = BUF_ON(c->id_room);
	struct addr_defaults *d = &c->defaults;
	struct str m;

	return load_domain(dirfd, "me", &me, STR("localhost"), &m) &&
	       load_domain(dirfd, "defaulthost", &host, m, &d->host) &&
	       load_domain(
		   dirfd, "defaultdomain", &domain, STR(""), &d->domain) &&
	       load_domain(
		   dirfd, "plusdomain", &plus, STR(""), &d->plusdomain) &&
	       load_domain(dirfd, "idhost", &id, m, &c->id_host) &&
	       control_number(dirfd, "databytes", &c->databytes) == 0;
}

bool
caller_load(struct caller *c, struct outcome *o)
{
	int dirfd = open(
	    layout_path(LAYOUT_CONTROL), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool ok;

	if (dirfd < 0) {
		outcome_set_errno(o, OUTCOME_CONFIG,
		    "cannot read Postern's configuration directory", errno);
		outcome_add(o, str_of(layout_path(LAYOUT_CONTROL)));
		return false;
	}
	complaint = o;
	control_on_mistake(on_mistake);
	ok = load_settings(c, dirfd);
	close(dirfd);
	load_user(c);
	return ok;
}

void
caller_complain(const char *program, const struct outcome *o)
{
	char room[OUTCOME_TEXT + 64];
	struct buf line = BUF_ON(room);

	buf_puts(&line, program);
	buf_puts(&line, ": ");
	buf_put(&line, buf_str(&o->text));
	buf_putc(&line, '\n');
	/* nobody may be there to read it; the exit code says it, too */
	(void)io_write_all(STDERR_FILENO, buf_str(&line));
}
