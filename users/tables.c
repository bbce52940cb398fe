/* SPDX-License-Identifier: ISC
 * tables: see the header.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "common/address.h"
#include "common/control.h"
#include "common/log.h"
#include "common/packet.h"
#include "users/line.h"
#include "users/tables.h"

enum { CHUNK = 256 * 1024, ACCOUNTS_MAX = 16 * 1024 * 1024 };

static const char no_memory[] = "out of memory";

/* Takes one line; NULL, or what is wrong with it. */
typedef const char *line_taker(struct tables *, struct str line);

static int
put_once(struct table *t, struct str key, struct str value, const char **wrong)
{
	if (table_put(t, key, value) == 0)
		return 0;
	*wrong = errno == EEXIST ? "the address was listed before" : no_memory;
	return -1;
}

/* Notes whose bare local part this is, for logins without a domain. */
static const char *
put_bare(struct tables *t, struct str key)
{
	struct str local = address_split(key).local;
	if (table_put(t->bare, local, key) == 0)
		return NULL;
	if (errno == EEXIST &&
	    (table_put(t->twice, local, STR("")) == 0 || errno == EEXIST))
		return NULL;
	return no_memory;
}

static const char *
take_user(struct tables *t, struct str line)
{
	struct line_user u;
	char room[LINE_KEY];
	struct buf key = BUF_ON(room);
	const char *wrong = line_user(line, &u);
	if (wrong)
		return wrong;
	line_put_key(&key, u.address);
	/* hash:mailbox stand together in the line */
	struct str value = { .p = u.hash.p, .n = u.hash.n + 1 + u.mailbox.n };
	if (put_once(t->users, buf_str(&key), value, &wrong) < 0)
		return wrong;
	return u.mailbox.n ? put_bare(t, buf_str(&key)) : NULL;
}

static const char *
put_alias(struct tables *t, struct table *table, struct str line)
{
	static char values[PACKET_MAX];
	size_t packed = 16; /* of the answer that names them all */
	struct line_alias a;
	char room[LINE_KEY], one[LIMIT_ADDRESS + 2];
	struct buf key = BUF_ON(room), value = BUF_ON(values),
		   target = BUF_ON(one);
	const char *wrong = line_alias(line, &a);
	if (wrong)
		return wrong;
	while (line_alias_next(&a, t->me, &target, &wrong)) {
		if (wrong)
			return wrong;
		packed += sizeof(uint32_t) + target.n;
		buf_putc(&value, (char)target.n);
		buf_put(&value, buf_str(&target));
	}
	if (value.full || packed > PACKET_MAX)
		return "too many targets";
	line_put_key(&key, a.address);
	if (table == t->imported && str_find(buf_str(&key), '@') < key.n)
		return "a name with a domain";
	(void)put_once(table, buf_str(&key), buf_str(&value), &wrong);
	return wrong;
}

static const char *
take_alias(struct tables *t, struct str line)
{
	return put_alias(t, t->aliases, line);
}

static const char *
take_imported(struct tables *t, struct str line)
{
	return put_alias(t, t->imported, line);
}

bool
tables_target(struct str *targets, struct str *address)
{
	if (targets->n == 0)
		return false;
	size_t n = (unsigned char)targets->p[0];
	*address = str_head(str_skip(*targets, 1), n);
	*targets = str_skip(*targets, 1 + n);
	return true;
}

static const char *
take_relay(struct tables *t, struct str line)
{
	struct str address;
	char room[LINE_KEY];
	struct buf key = BUF_ON(room);
	const char *wrong = line_relay(line, &address);
	if (wrong)
		return wrong;
	line_put_key(&key, address);
	if (table_put(t->relays, buf_str(&key), STR("")) < 0 && errno != EEXIST)
		return no_memory;
	return NULL;
}

/* ---- files ---- */

struct source {
	const char *name;
	line_taker *take;
	unsigned line;
	const char *wrong;
};

/* Takes whole lines from the front of text; returns how many bytes.  With
 * `last` a line without its LF counts. */
static size_t
take_lines(struct tables *t, struct source *s, struct str text, bool last)
{
	struct str rest = text, line;
	while (rest.n && (last || str_find(rest, '\n') < rest.n)) {
		(void)str_line(&rest, &line);
		s->line++;
		s->wrong = line_strip(line, &line);
		if (!s->wrong && line.n > 0)
			s->wrong = s->take(t, line);
		if (s->wrong)
			break;
	}
	return text.n - rest.n;
}

static void
take_file(struct tables *t, struct source *s, int fd)
{
	static char chunk[CHUNK];
	struct buf b = BUF_ON(chunk);
	ssize_t n = 1;
	while (n > 0 && !s->wrong) {
		n = read(fd, buf_tail(&b), buf_room(&b));
		if (n < 0 && errno == EINTR) {
			n = 1;
			continue;
		}
		if (n < 0) {
			s->wrong = strerror(errno);
			break;
		}
		buf_grew(&b, (size_t)n);
		buf_drop(&b, take_lines(t, s, buf_str(&b), n == 0));
		if (!s->wrong && buf_room(&b) == 0) {
			s->line++;
			s->wrong = line_too_long;
		}
	}
}

static int
open_plain(int dirfd, const char *name)
{
	struct stat st;
	int fd = openat(dirfd, name,
	    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	(void)close(fd);
	errno = EINVAL;
	return -1;
}

static int
complain(struct buf *wrong, const char *file, unsigned line, const char *what)
{
	(void)control_complain(file, line, what);
	buf_reset(wrong);
	buf_puts(wrong, file);
	if (line > 0) {
		buf_putc(wrong, ':');
		buf_put_u64(wrong, line);
	}
	buf_puts(wrong, ": ");
	buf_puts(wrong, what);
	return -1;
}

static int
load_file(struct tables *t, int dirfd, const char *name, line_taker *take,
    struct buf *wrong)
{
	struct source s = { .name = name, .take = take };
	int fd = open_plain(dirfd, name);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return complain(wrong, name, 0, strerror(errno));
	take_file(t, &s, fd);
	(void)close(fd);
	return s.wrong ? complain(wrong, name, s.line, s.wrong) : 0;
}

bool
tables_import(struct tables *t, struct str text, struct buf *wrong)
{
	struct source s = { .name = TABLES_IMPORTED, .take = take_imported };

	table_free(t->imported);
	t->imported = table_new();
	if (t->imported == NULL)
		s.wrong = no_memory;
	else
		(void)take_lines(t, &s, text, true);
	return s.wrong == NULL || complain(wrong, s.name, s.line, s.wrong) == 0;
}

/* ---- control ---- */

static int
load_postmaster(struct tables *t, int controldir, struct buf *wrong)
{
	char room[CONTROL_LINE_MAX];
	struct buf line = BUF_ON(room), canonical = BUF_ON(t->postmaster_room);
	struct address a;
	if (control_line(controldir, "postmaster", &line) < 0)
		return complain(wrong, "control/postmaster", 1, "unreadable");
	if (address_parse(buf_str(&line), true, &a) != ADDRESS_OK)
		return complain(
		    wrong, "control/postmaster", 1, "not an address");
	if (a.domain.n == 0)
		a.domain = t->me;
	address_put(&canonical, a);
	if (canonical.full)
		return complain(wrong, "control/postmaster", 1, "too long");
	t->postmaster = buf_str(&canonical);
	return 0;
}

static int
load_control(struct tables *t, int controldir, struct buf *wrong)
{
	uint64_t extensions;
	char room[CONTROL_LINE_MAX];
	struct buf line = BUF_ON(room), me = BUF_ON(t->me_room);
	if (control_line(controldir, "me", &line) < 0)
		return complain(wrong, "control/me", 1, "unreadable");
	buf_put_lower(&me, buf_str(&line));
	if (me.full || !address_is_domain(buf_str(&me)))
		return complain(wrong, "control/me", 1, "not a domain name");
	t->me = buf_str(&me);
	t->domains = domains_load(controldir);
	if (!t->domains)
		return complain(wrong, "control", 0,
		    "locals, virtualdomains or rcpthosts is wrong: "
		    "postern check says where");
	if (control_number(controldir, "extensions", &extensions) < 0)
		return complain(wrong, "control/extensions", 1, "not 0 or 1");
	t->extensions = extensions == 1;
	return load_postmaster(t, controldir, wrong);
}

struct tables *
tables_load(int controldir, int usersdir, struct buf *wrong)
{
	struct tables *t = calloc(1, sizeof(*t));
	if (t) {
		t->users = table_new();
		t->bare = table_new();
		t->twice = table_new();
		t->aliases = table_new();
		t->imported = table_new();
		t->relays = table_new();
	}
	if (!t || !t->users || !t->bare || !t->twice || !t->aliases ||
	    !t->imported || !t->relays)
		(void)complain(wrong, "users", 0, no_memory);
	else if (load_control(t, controldir, wrong) == 0 &&
		 load_file(t, usersdir, "users", take_user, wrong) == 0 &&
		 load_file(t, usersdir, "aliases", take_alias, wrong) == 0 &&
		 load_file(
		     t, usersdir, TABLES_IMPORTED, take_imported, wrong) == 0 &&
		 load_file(t, usersdir, "relayrcpts", take_relay, wrong) == 0)
		return t;
	tables_free(t);
	return NULL;
}

void
tables_free(struct tables *t)
{
	if (!t)
		return;
	table_free(t->users);
	table_free(t->bare);
	table_free(t->twice);
	table_free(t->aliases);
	table_free(t->imported);
	table_free(t->relays);
	domains_free(t->domains);
	free(t);
}

/* ---- system accounts ---- */

static void
take_accounts(struct table *t, struct str text)
{
	struct str line;
	struct line_account a;
	unsigned skipped = 0;
	while (str_line(&text, &line)) {
		char room[LIMIT_USER + 1];
		struct buf key = BUF_ON(room);
		if (line_account(line, &a) == NULL)
			buf_put_lower(&key, a.name);
		if (key.n == 0 || table_put(t, buf_str(&key), a.name) < 0)
			skipped++;
	}
	LOG(INFO, "accounts", F_NUM("users", table_count(t)),
	    F_NUM("skipped", skipped));
}

struct table *
tables_accounts(int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || st.st_size < 0 || st.st_size > ACCOUNTS_MAX) {
		LOG(ERROR, "accounts", F_TEXT("error", "no or too large file"));
		return NULL;
	}
	size_t n = (size_t)st.st_size;
	char *text = malloc(n + 1);
	struct table *t = table_new();
	ssize_t got = text && t ? pread(fd, text, n, 0) : -1;
	if (got < 0) {
		LOG(ERROR, "accounts", F_ERRNO(errno));
		table_free(t);
		t = NULL;
	} else {
		take_accounts(t, (struct str){ .p = text, .n = (size_t)got });
	}
	free(text);
	return t;
}
