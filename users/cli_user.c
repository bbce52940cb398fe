/* SPDX-License-Identifier: ISC
 * postern user: adds, changes and lists mail users (postern-user(1)).  Runs as
 * the administrator.
 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/address.h"
#include "common/domains.h"
#include "common/exitcode.h"
#include "common/io.h"
#include "common/layout.h"
#include "common/privs.h"
#include "install/cli.h"
#include "install/json.h"
#include "users/edit.h"
#include "users/line.h"
#include "users/password.h"

static const char usage[] =
    "usage: postern user add ADDRESS [--mailbox PATH]\n"
    "                        [--hash HASH | --password-stdin]\n"
    "       postern user passwd ADDRESS [--hash HASH | --password-stdin]\n"
    "       postern user del ADDRESS\n"
    "       postern user list [--json]\n\n"
    "ADDRESS is local@domain, or the name of a system user, for the password\n"
    "of that user's mail.  The password is the first line of standard input;\n"
    "at a terminal it is asked for twice, unless there is --password-stdin.\n"
    "PATH is below the mail directory (default: domain/local).  HASH is an\n"
    "Argon2id string in place of a password.  See postern-user(1).\n";

struct options {
	struct str address, mailbox, hash;
	bool json;
};

static bool
is_system(struct str address)
{
	return str_find(address, '@') == address.n;
}

/* ---- lines ---- */

static int
put_line(struct buf *b, struct str address, struct str hash, struct str mailbox)
{
	struct line_user u;
	buf_put(b, address);
	buf_putc(b, ':');
	buf_put(b, hash);
	buf_putc(b, ':');
	buf_put(b, mailbox);
	const char *wrong =
	    b->full ? "the line is too long" : line_user(buf_str(b), &u);
	if (wrong)
		return edit_fail(EXITCODE_PERMANENT, wrong, address);
	return 0;
}

/* domain/local, where that is a path of its own. */
static int
default_mailbox(struct str address, struct buf *b)
{
	char room[LIMIT_ADDRESS];
	struct buf local = BUF_ON(room);
	struct address a = address_split(address);
	address_put_unquoted(&local, a.local);
	buf_put(b, a.domain);
	buf_putc(b, '/');
	buf_put(b, buf_str(&local));
	if (line_is_mailbox(buf_str(b)) &&
	    str_find(buf_str(&local), '/') == local.n)
		return 0;
	return edit_fail(EXITCODE_PERMANENT,
	    "no mailbox can be named after this address, give --mailbox PATH",
	    address);
}

/* ---- what must be so ---- */

/* Puts the address as it is kept: canonical, in lower case. */
static int
take_address(struct str in, struct buf *out)
{
	char room[LIMIT_ADDRESS + 2];
	struct buf canonical = BUF_ON(room);
	struct address a;
	if (address_parse(in, true, &a) != ADDRESS_OK)
		return edit_fail(EXITCODE_PERMANENT,
		    "not an address (write it as bob@example.org)", in);
	address_put(&canonical, a);
	if (a.domain.n == 0)
		buf_put(out, in);
	else
		buf_put_lower(out, buf_str(&canonical));
	return out->full
		   ? edit_fail(EXITCODE_PERMANENT,
			 "the address is too long (254 bytes are the most)", in)
		   : 0;
}

static int
check_account(struct str name)
{
	const struct passwd *pw = privs_find(name);
	if (!pw)
		return edit_fail(EXITCODE_PERMANENT,
		    "no system user of that name: make one (adduser), or give "
		    "local@domain",
		    name);
	if (!privs_is_person(pw->pw_uid))
		return edit_fail(EXITCODE_PERMANENT,
		    "not an ordinary user (uid 1000 and up): name a person",
		    name);
	return 0;
}

static void
warn_about_domain(struct str address)
{
	struct str prepend;
	int fd = open(
	    layout_path(LAYOUT_CONTROL), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct domains *d = fd < 0 ? NULL : domains_load(fd);
	io_close(&fd);
	if (!d)
		return;
	struct str domain = address_split(address).domain;
	enum domain_kind kind = domains_find(d, domain, &prepend);
	if (kind != DOMAIN_LOCAL && kind != DOMAIN_VIRTUAL)
		(void)edit_fail(0,
		    "warning: no mail is accepted for a domain that is "
		    "neither in control/locals nor in control/virtualdomains: "
		    "add it there",
		    domain);
	domains_free(d);
}

static void
warn_about_alias(struct str key)
{
	struct edit e;
	struct str line;
	if (edit_open(&e, "aliases", false) != 0)
		return;
	if (edit_find(&e, edit_alias_address, key, &line))
		(void)edit_fail(0,
		    "warning: this user hides the alias of the same address "
		    "(postern alias del removes it)",
		    key);
	edit_close(&e);
}

/* ---- add, passwd, del ---- */

/* The hash that was given, or one of the password that is read. */
static int
put_hash(const struct options *o, struct str address, struct buf *hash)
{
	if (o->hash.n == 0)
		return password_hash(address, hash);
	buf_put(hash, o->hash);
	if (!hash->full && line_is_hash(o->hash))
		return 0;
	return edit_fail(EXITCODE_PERMANENT,
	    "--hash wants $argon2id$v=19$..., of at most 256 MiB and 16 passes",
	    STR(""));
}

/* Replaces the user's line, or adds one. */
static int
write_user(struct str address, struct str hash, struct str mailbox, bool fresh)
{
	char line_room[1024], key_room[LINE_KEY];
	struct buf line = BUF_ON(line_room), key = BUF_ON(key_room);
	struct edit e;
	struct str old = STR("");
	line_put_key(&key, address);
	int code = edit_open(&e, "users", true);
	if (code != 0)
		return code;
	bool found = edit_find(&e, edit_user_address, buf_str(&key), &old);
	struct line_user u;
	if (found && fresh) {
		code = edit_fail(EXITCODE_PERMANENT,
		    "the user exists already: postern user passwd changes the "
		    "password",
		    address);
	} else if (!found && !fresh) {
		code = edit_fail(EXITCODE_PERMANENT,
		    "no such user (see postern user list)", address);
	} else {
		if (found && line_user(str_trim(old), &u) == NULL) {
			address = u.address;
			mailbox = u.mailbox;
		}
		code = put_line(&line, address, hash, mailbox);
	}
	if (code == 0)
		code = edit_change(&e, found ? old : STR(""), buf_str(&line));
	edit_close(&e);
	return code;
}

static int
user_add(const struct options *o)
{
	char hash_room[LINE_HASH], mailbox_room[LINE_MAILBOX + 1];
	char address_room[LIMIT_ADDRESS + 2];
	struct buf hash = BUF_ON(hash_room), mailbox = BUF_ON(mailbox_room);
	struct buf kept = BUF_ON(address_room);
	int code = take_address(o->address, &kept);
	struct str address = buf_str(&kept);
	if (code != 0)
		return code;
	if (is_system(address)) {
		if (o->mailbox.n)
			return edit_fail(EXITCODE_PERMANENT,
			    "a system user's mail is in the home directory: "
			    "leave --mailbox out",
			    address);
		code = check_account(address);
	} else if (o->mailbox.n) {
		buf_put(&mailbox, o->mailbox);
	} else {
		code = default_mailbox(address, &mailbox);
	}
	if (code == 0)
		code = put_hash(o, address, &hash);
	if (code == 0)
		code = write_user(
		    address, buf_str(&hash), buf_str(&mailbox), true);
	if (code != 0)
		return code;
	if (!is_system(address))
		warn_about_domain(address);
	warn_about_alias(address);
	printf("added %.*s\n", (int)address.n, address.p);
	return EXITCODE_DONE;
}

static int
user_passwd(const struct options *o)
{
	char hash_room[LINE_HASH], address_room[LIMIT_ADDRESS + 2];
	struct buf hash = BUF_ON(hash_room), address = BUF_ON(address_room);
	int code = take_address(o->address, &address);
	if (code == 0)
		code = put_hash(o, buf_str(&address), &hash);
	if (code == 0)
		code = write_user(
		    buf_str(&address), buf_str(&hash), STR(""), false);
	if (code == 0)
		printf("changed %.*s\n", (int)address.n, address.p);
	return code;
}

static int
user_del(const struct options *o)
{
	char key_room[LINE_KEY];
	struct buf key = BUF_ON(key_room);
	struct edit e;
	struct str old;
	struct line_user u = { .mailbox = STR("") };
	line_put_key(&key, o->address);
	int code = edit_open(&e, "users", true);
	if (code != 0)
		return code;
	if (!edit_find(&e, edit_user_address, buf_str(&key), &old)) {
		code = edit_fail(EXITCODE_PERMANENT,
		    "no such user (see postern user list)", o->address);
	} else {
		(void)line_user(str_trim(old), &u);
		code = edit_change(&e, old, STR(""));
	}
	if (code == 0 && u.mailbox.n)
		printf("deleted %.*s; its mail stays in %s/%.*s\n", (int)key.n,
		    key.p, layout_path(LAYOUT_MAIL), (int)u.mailbox.n,
		    u.mailbox.p);
	else if (code == 0)
		printf("deleted %.*s\n", (int)key.n, key.p);
	edit_close(&e);
	return code;
}

/* ---- list ---- */

static void
print_user(const struct line_user *u, size_t width, bool json)
{
	const char *kind = u->mailbox.n ? "virtual" : "system";
	if (json) {
		fputs("{\"address\":", stdout);
		json_string(u->address);
		printf(",\"kind\":\"%s\",\"mailbox\":", kind);
		json_string(u->mailbox);
		puts("}");
		return;
	}
	printf("%-*.*s  %-7s  %.*s\n", (int)width, (int)u->address.n,
	    u->address.p, kind, (int)u->mailbox.n, u->mailbox.p);
}

static int
user_list(const struct options *o)
{
	struct edit e;
	struct str line;
	struct line_user u;
	size_t width = 0;
	int code = edit_open(&e, "users", false);
	if (code != 0)
		return code;
	for (int print = o->json; print < 2; print++) {
		struct str rest = { .p = e.text, .n = e.n };
		while (str_line(&rest, &line)) {
			if (line_user(str_trim(line), &u) != NULL)
				continue;
			if (print)
				print_user(&u, width, o->json);
			else if (u.address.n > width)
				width = u.address.n;
		}
	}
	edit_close(&e);
	return ferror(stdout) || fflush(stdout) ? EXITCODE_TEMPORARY : 0;
}

/* ---- arguments ---- */

static int
wrong_usage(void)
{
	fputs(usage, stderr);
	return EXITCODE_PERMANENT;
}

/* Takes "--name VALUE" or "--name=VALUE" at argv[*i]. */
static bool
option(int argc, char **argv, int *i, const char *name, struct str *value)
{
	struct str arg = str_of(argv[*i]), n = str_of(name);
	if (str_starts(arg, n) && arg.n > n.n && arg.p[n.n] == '=') {
		*value = str_skip(arg, n.n + 1);
		return true;
	}
	if (!str_eq(arg, n) || *i + 1 >= argc)
		return false;
	*value = str_of(argv[++*i]);
	return true;
}

static bool
parse(int argc, char **argv, struct options *o)
{
	for (int i = 2; i < argc; i++) {
		if (option(argc, argv, &i, "--mailbox", &o->mailbox) ||
		    option(argc, argv, &i, "--hash", &o->hash))
			continue;
		if (strcmp(argv[i], "--json") == 0)
			o->json = true;
		else if (strcmp(argv[i], "--password-stdin") == 0)
			password_from_stdin();
		else if (argv[i][0] == '-' || o->address.n)
			return false;
		else
			o->address = str_of(argv[i]);
	}
	return true;
}

int
cli_user(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(const struct options *);
		bool address, add, list;
	} verbs[] = {
		{ "add", user_add, true, true, false },
		{ "passwd", user_passwd, true, false, false },
		{ "del", user_del, true, false, false },
		{ "list", user_list, false, false, true },
	};
	struct options o = { .json = false };
	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		fputs(usage, stdout);
		return EXITCODE_DONE;
	}
	if (argc < 2 || !parse(argc, argv, &o))
		return wrong_usage();
	for (size_t i = 0; i < N_ELEMENTS(verbs); i++) {
		if (strcmp(argv[1], verbs[i].name) != 0)
			continue;
		if (verbs[i].address != (o.address.n > 0) ||
		    (o.mailbox.n && !verbs[i].add) ||
		    (o.json && !verbs[i].list))
			break;
		return verbs[i].run(&o);
	}
	return wrong_usage();
}
