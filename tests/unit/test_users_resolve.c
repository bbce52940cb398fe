/* SPDX-License-Identifier: ISC
 * Unit test of users/tables.c and users/resolve.c: the order of the rules, on
 * tables and control files made for it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "common/io.h"
#include "common/log.h"
#include "users/loginname.h"
#include "users/resolve.h"

#define HASH                                                                   \
	"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$"               \
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static char folder[64];
static int dirfd_;
static struct tables *tables;
static struct table *accounts;

static void
put(const char *name, const char *text)
{
	int fd = openat(
	    dirfd_, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, str_of(text)), 0);
	assert_int_equal(close(fd), 0);
}

/* a0 -> a1 -> ... -> a25: deeper than is followed. */
static void
put_chain(struct buf *b)
{
	for (unsigned i = 0; i < 25; i++) {
		buf_puts(b, "a");
		buf_put_u64(b, i);
		buf_puts(b, "@virt.example: a");
		buf_put_u64(b, i + 1);
		buf_puts(b, "@virt.example\n");
	}
}

static void
put_tables(void)
{
	static char room[8192];
	struct buf aliases = BUF_ON(room);
	put("me", "mx.example\n");
	put("locals", "mx.example\n");
	put("virtualdomains", "virt.example\nuser.example:bob\n"
			      "ext.example:bob-shop\n");
	put("rcpthosts", "relay.example\nall.example\n");
	put("postmaster", "bob\n");
	put("extensions", "1\n");
	put("users", "both@virt.example:" HASH ":virt/both\n"
		     "own@user.example:" HASH ":user/own\n"
		     "bob@mx.example:" HASH ":mx/bob\n"
		     "twin@virt.example:" HASH ":virt/twin\n"
		     "twin@mx.example:" HASH ":mx/twin\n"
		     "sys@virt.example:" HASH ":virt/sys\n"
		     "sys:" HASH ":\n"
		     "Only@Virt.Example:" HASH ":virt/only\n"
		     "gone:" HASH ":\n");
	put("relayrcpts", "Alice@relay.example\n@all.example\n");
	buf_puts(&aliases, "both@virt.example: x@far.example\n"
			   "carl@mx.example: x@far.example\n"
			   "carl: y@far.example\n"
			   "dora: y@far.example, Z@far.example\n"
			   "@virt.example: catch@far.example\n"
			   "self@mx.example: self@mx.example\n"
			   "ping@mx.example: ok@far.example, pong@mx.example\n"
			   "pong@mx.example: PING@mx.example\n"
			   "into@mx.example: self@mx.example\n");
	put_chain(&aliases);
	put("aliases", buf_cstr(&aliases));
	put("aliases.imported", "# of /etc/aliases\nerna: x@else.example\n"
				"dora: x@else.example\n");
}

static int
load(void **state)
{
	(void)state;
	char error[TABLES_ERROR];
	struct buf wrong = BUF_ON(error);
	static const char lines[] =
	    "bob:1000:/home/bob\nsys:1001:/home/sys\n"
	    "carl:1002:/c\nbob-shop:1003:/s\nroot:0:/\nerna:1004:/e\n";
	log_init("test");
	(void)snprintf(folder, sizeof(folder), "/tmp/test_resolve.XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	dirfd_ = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put_tables();
	tables = tables_load(dirfd_, dirfd_, &wrong);
	int fd = memfd_create("accounts", MFD_CLOEXEC);
	if (io_write_all(fd, str_of(lines)) < 0)
		return -1;
	accounts = tables_accounts(fd);
	return close(fd) < 0 || !tables || !accounts ? -1 : 0;
}

static int
unload(void **state)
{
	static const char *const names[] = { "me", "locals", "virtualdomains",
		"rcpthosts", "postmaster", "extensions", "users", "relayrcpts",
		"aliases", "aliases.imported" };
	(void)state;
	tables_free(tables);
	table_free(accounts);
	for (size_t i = 0; i < N_ELEMENTS(names); i++)
		(void)unlinkat(dirfd_, names[i], 0);
	return close(dirfd_) < 0 || rmdir(folder) < 0 ? -1 : 0;
}

static const struct {
	const char *address;
	enum resolve_kind kind;
	const char *to; /* mailbox, user+extension, or targets joined by , */
} cases[] = {
	/* 1 before 2, 2 before 3 */
	{ "both@virt.example", RESOLVE_VIRTUAL, "virt/both" },
	{ "BOTH@virt.EXAMPLE", RESOLVE_VIRTUAL, "virt/both" },
	{ "\"both\"@virt.example", RESOLVE_VIRTUAL, "virt/both" },
	{ "\"bo\\th\"@virt.example", RESOLVE_VIRTUAL, "virt/both" },
	{ "bob@mx.example", RESOLVE_VIRTUAL, "mx/bob" },
	{ "carl@mx.example", RESOLVE_ALIAS, "x@far.example" },
	{ "dora@mx.example", RESOLVE_ALIAS, "y@far.example,Z@far.example" },
	{ "dora", RESOLVE_ALIAS, "y@far.example,Z@far.example" },
	{ "own@user.example", RESOLVE_VIRTUAL, "user/own" },
	/* a bare alias is for locals only */
	{ "dora@virt.example", RESOLVE_ALIAS, "catch@far.example" },
	{ "dora@user.example", RESOLVE_SYSTEM, "bob+dora" },
	/* 3 */
	{ "sys@mx.example", RESOLVE_SYSTEM, "sys+" },
	{ "sys-a-b@mx.example", RESOLVE_SYSTEM, "sys+a-b" },
	{ "bob-shop@mx.example", RESOLVE_SYSTEM, "bob-shop+" },
	{ "bob-shop-x@mx.example", RESOLVE_SYSTEM, "bob-shop+x" },
	{ "bob-x@mx.example", RESOLVE_SYSTEM, "bob+x" },
	{ "bob-@mx.example", RESOLVE_SYSTEM, "bob+" },
	{ "-bob@mx.example", RESOLVE_UNKNOWN, "" },
	/* no account that gets mail; the administrator's, here only */
	{ "root@mx.example", RESOLVE_ALIAS, "bob@mx.example" },
	{ "root@virt.example", RESOLVE_ALIAS, "catch@far.example" },
	/* what came from /etc/aliases goes before an account, and after our own
	 * aliases (dora); for locals only */
	{ "Erna@mx.example", RESOLVE_ALIAS, "x@else.example" },
	{ "erna@virt.example", RESOLVE_ALIAS, "catch@far.example" },
	{ "any@user.example", RESOLVE_SYSTEM, "bob+any" },
	{ "any@ext.example", RESOLVE_SYSTEM, "bob-shop+any" },
	{ "postmaster@user.example", RESOLVE_SYSTEM, "bob+postmaster" },
	/* 4 before 5 */
	{ "nobody@virt.example", RESOLVE_ALIAS, "catch@far.example" },
	{ "postmaster@virt.example", RESOLVE_ALIAS, "catch@far.example" },
	{ "PostMaster@mx.example", RESOLVE_ALIAS, "bob@mx.example" },
	{ "postmaster", RESOLVE_ALIAS, "bob@mx.example" },
	{ "abuse@mx.example", RESOLVE_ALIAS, "bob@mx.example" },
	/* 6 and others */
	{ "nobody@mx.example", RESOLVE_UNKNOWN, "" },
	{ "self@mx.example", RESOLVE_LOOP, "" },
	{ "ping@mx.example", RESOLVE_LOOP, "" },
	{ "pong@mx.example", RESOLVE_LOOP, "" },
	{ "into@mx.example", RESOLVE_LOOP, "" },
	{ "a0@virt.example", RESOLVE_LOOP, "" },
	{ "a4@virt.example", RESOLVE_LOOP, "" },
	{ "a10@virt.example", RESOLVE_ALIAS, "a11@virt.example" },
	{ "x@far.example", RESOLVE_FOREIGN, "" },
	{ "alice@relay.example", RESOLVE_MX, "" },
	{ "x@[192.0.2.1]", RESOLVE_FOREIGN, "" },
	{ "", RESOLVE_SYNTAX, "" },
	{ "@", RESOLVE_SYNTAX, "" },
	{ "@mx.example", RESOLVE_SYNTAX, "" },
	{ "bob@", RESOLVE_VIRTUAL, "mx/bob" },
};

static void
put_result(struct buf *b, const struct resolved *r)
{
	struct str targets = r->targets, one;
	switch (r->kind) {
	case RESOLVE_VIRTUAL:
		buf_put(b, r->mailbox);
		break;
	case RESOLVE_SYSTEM:
		buf_put(b, r->user);
		buf_putc(b, '+');
		buf_put(b, r->extension);
		break;
	case RESOLVE_ALIAS:
		while (tables_target(&targets, &one)) {
			if (b->n)
				buf_putc(b, ',');
			buf_put(b, one);
		}
		break;
	case RESOLVE_MX:
	case RESOLVE_FOREIGN:
	case RESOLVE_UNKNOWN:
	case RESOLVE_LOOP:
	case RESOLVE_NOBODY:
	case RESOLVE_EARLY:
	case RESOLVE_SYNTAX:
		break;
	}
}

static void
rules_apply_in_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		struct resolved r, again;
		static char why_room[RESOLVE_TEXT];
		char room[512];
		struct buf got = BUF_ON(room), why = BUF_ON(why_room);
		struct str address = str_of(cases[i].address);
		resolve(tables, accounts, address, &r, NULL);
		put_result(&got, &r);
		if (r.kind != cases[i].kind ||
		    !str_eq(buf_str(&got), str_of(cases[i].to)))
			fail_msg("%s: kind %d, %.*s", cases[i].address,
			    (int)r.kind, (int)got.n, got.p);
		/* with the explanation the answer is the same */
		resolve(tables, accounts, address, &again, &why);
		assert_int_equal(again.kind, r.kind);
		assert_int_equal(resolve_accepts(&again), resolve_accepts(&r));
		assert_true(why.n > 0 || r.kind == RESOLVE_SYNTAX);
	}
}

static void
relayed_domains_list_their_users(void **state)
{
	(void)state;
	static const struct {
		const char *address;
		bool listed;
	} relays[] = { { "alice@relay.example", true },
		{ "ALICE@relay.example", true }, { "bob@relay.example", false },
		{ "postmaster@relay.example", true },
		{ "abuse@relay.example", false }, { "any@all.example", true } };
	for (size_t i = 0; i < N_ELEMENTS(relays); i++) {
		struct resolved r;
		resolve(tables, accounts, str_of(relays[i].address), &r, NULL);
		assert_int_equal(r.kind, RESOLVE_MX);
		assert_int_equal(resolve_accepts(&r), relays[i].listed);
	}
}

static void
without_accounts_nobody_is_unknown(void **state)
{
	(void)state;
	struct resolved r;
	static const char *const early[] = { "sys@mx.example",
		"nobody@mx.example", "any@user.example", "abuse@mx.example" };
	for (size_t i = 0; i < N_ELEMENTS(early); i++) {
		resolve(tables, NULL, str_of(early[i]), &r, NULL);
		assert_int_equal(r.kind, RESOLVE_EARLY);
		assert_false(resolve_accepts(&r));
	}
	resolve(tables, NULL, STR("bob@mx.example"), &r, NULL);
	assert_int_equal(r.kind, RESOLVE_VIRTUAL);
	resolve(tables, NULL, STR("any@virt.example"), &r, NULL);
	assert_int_equal(r.kind, RESOLVE_ALIAS);
	struct login l;
	loginname_find(tables, NULL, STR("sys"), &l);
	assert_true(l.found && !l.system); /* the virtual sys@virt.example */
}

static const struct {
	const char *user, *name; /* name NULL: nobody */
	bool system;
	const char *mailbox;
} logins[] = {
	{ "both@virt.example", "both@virt.example", false, "virt/both" },
	{ "Both@VIRT.example", "both@virt.example", false, "virt/both" },
	{ "both", "both@virt.example", false, "virt/both" },
	{ "ONLY", "only@virt.example", false, "virt/only" },
	{ "bob", "bob@mx.example", false, "mx/bob" },
	{ "twin", NULL, false, "" },
	{ "twin@mx.example", "twin@mx.example", false, "mx/twin" },
	{ "sys", NULL, false, "" }, /* a system and a virtual user */
	{ "sys@virt.example", "sys@virt.example", false, "virt/sys" },
	{ "gone", NULL, false, "" }, /* a password, but no account */
	{ "carl", NULL, false, "" }, /* an account, but no password */
	{ "dora@mx.example", NULL, false, "" },
	{ "", NULL, false, "" },
	{ "@virt.example", NULL, false, "" },
	{ "root", NULL, false, "" },
};

static void
logins_are_unambiguous(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(logins); i++) {
		struct login l;
		loginname_find(tables, accounts, str_of(logins[i].user), &l);
		assert_int_equal(l.found, logins[i].name != NULL);
		if (!l.found)
			continue;
		assert_int_equal(l.system, logins[i].system);
		assert_true(str_eq(l.name, str_of(logins[i].name)));
		assert_true(str_eq(l.mailbox, str_of(logins[i].mailbox)));
		assert_true(str_eq(l.hash, str_of(HASH)));
	}
}

/* file, content, what the answer begins with */
static const char *const wrongs[][3] = {
	{ "users", "a@virt.example:x:y\n", "users:1: " },
	{ "users", "#\n\na@b.example:" HASH ":m\nA@b.example:" HASH ":n\n",
	    "users:4: the address was listed before" },
	{ "aliases", "a: b\nb: |x\n", "aliases:2: " },
	{ "aliases", "a: b", NULL },
	{ "aliases", "a: b\n a: c\n", "aliases:2: " },
	{ "relayrcpts", "relay.example\n", "relayrcpts:1: " },
	{ "postmaster", "@\n", "control/postmaster:1: " },
	{ "extensions", "2\n", "control/extensions:1: " },
	{ "locals", "a b\n", "control: " },
};

static void
wrong_files_are_named(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(wrongs); i++) {
		char error[TABLES_ERROR];
		struct buf wrong = BUF_ON(error);
		put(wrongs[i][0], wrongs[i][1]);
		struct tables *t = tables_load(dirfd_, dirfd_, &wrong);
		assert_int_equal(t == NULL, wrongs[i][2] != NULL);
		if (!t)
			assert_true(
			    str_starts(buf_str(&wrong), str_of(wrongs[i][2])));
		tables_free(t);
		put_tables();
	}
}

static void
long_lines_end_at_their_bound(void **state)
{
	(void)state;
	static const size_t lengths[] = { 1000, 16384, 16385, 307200 };
	static char text[409600];
	for (size_t i = 0; i < N_ELEMENTS(lengths); i++) {
		char error[TABLES_ERROR];
		struct buf wrong = BUF_ON(error);
		memset(text, 'x', sizeof(text));
		text[0] = '#';
		text[lengths[i]] = '\0';
		put("users", text);
		struct tables *t = tables_load(dirfd_, dirfd_, &wrong);
		assert_int_equal(t != NULL, lengths[i] < 307200);
		tables_free(t);
		memcpy(text, "a: b, ", 6);
		put("users", "");
		put("aliases", text);
		assert_null(tables_load(dirfd_, dirfd_, &wrong));
		assert_true(str_starts(buf_str(&wrong), STR("aliases:1: ")));
		put_tables();
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_apply_in_order),
		cmocka_unit_test(relayed_domains_list_their_users),
		cmocka_unit_test(without_accounts_nobody_is_unknown),
		cmocka_unit_test(logins_are_unambiguous),
		cmocka_unit_test(wrong_files_are_named),
		cmocka_unit_test(long_lines_end_at_their_bound),
	};
	return cmocka_run_group_tests(tests, load, unload);
}
