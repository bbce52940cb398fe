/* SPDX-License-Identifier: ISC
 * Unit test of common/domains.c, on a control directory made for it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/domains.h"
#include "common/io.h"
#include "common/log.h"

static const char *const files[] = { "me", "locals", "virtualdomains",
	"rcpthosts" };

struct dir {
	char path[64];
	int fd;
};

static void
dir_make(struct dir *d)
{
	strncpy(d->path, "/tmp/test_domains.XXXXXX", sizeof(d->path));
	assert_non_null(mkdtemp(d->path));
	d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(d->fd >= 0);
}

static void
dir_remove(struct dir *d)
{
	for (size_t i = 0; i < N_ELEMENTS(files); i++)
		(void)unlinkat(d->fd, files[i], 0);
	assert_int_equal(close(d->fd), 0);
	assert_int_equal(rmdir(d->path), 0);
}

static void
put(const struct dir *d, const char *name, const char *text)
{
	int fd =
	    openat(d->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, str_of(text)), 0);
	assert_int_equal(close(fd), 0);
}

static const struct {
	const char *domain;
	enum domain_kind kind;
	const char *prepend;
} finds[] = {
	{ "mx.hamburger.edu", DOMAIN_LOCAL, "" },
	{ "MX.Hamburger.EDU", DOMAIN_LOCAL, "" },
	{ "mx.hamburger.edu.", DOMAIN_LOCAL, "" },
	{ "[192.0.2.1]", DOMAIN_LOCAL, "" },
	{ "[ipv6:2001:DB8::1]", DOMAIN_VIRTUAL, "six" },
	{ "hamburger.edu", DOMAIN_VIRTUAL, "" },
	{ "crepes.fr", DOMAIN_VIRTUAL, "alice" },
	{ "a.crepes.fr", DOMAIN_FOREIGN, "" },
	{ "a.wild.example", DOMAIN_VIRTUAL, "wild" },
	{ "b.a.wild.example", DOMAIN_VIRTUAL, "wild" },
	{ "wild.example", DOMAIN_FOREIGN, "" },
	{ "near.wild.example", DOMAIN_LOCAL, "" },
	{ "x.deep.wild.example", DOMAIN_VIRTUAL, "deep" },
	{ "twice.example", DOMAIN_LOCAL, "" },
	{ "relayed.example", DOMAIN_RELAYED, "" },
	{ "a.below.example", DOMAIN_RELAYED, "" },
	{ "below.example", DOMAIN_FOREIGN, "" },
	{ "foreign.example", DOMAIN_FOREIGN, "" },
	{ "192.0.2.1", DOMAIN_FOREIGN, "" },
	{ "[192.0.2.2]", DOMAIN_FOREIGN, "" },
	{ "", DOMAIN_FOREIGN, "" },
	{ ".", DOMAIN_FOREIGN, "" },
	{ ".wild.example", DOMAIN_FOREIGN, "" },
	{ "..", DOMAIN_FOREIGN, "" },
};

static void
finds_the_nearest(void **state)
{
	(void)state;
	struct dir d;
	dir_make(&d);
	put(&d, "locals",
	    "# ours\n\n mx.Hamburger.edu \n[192.0.2.1]\n"
	    "near.wild.example\ntwice.example\ntwice.example\n");
	put(&d, "virtualdomains",
	    "hamburger.edu:\nCREPES.fr:alice\n"
	    ".wild.example:wild\n.deep.wild.example:deep\n"
	    "twice.example:other\nplain.example\n"
	    "[IPv6:2001:db8::1]:six\n");
	put(&d, "rcpthosts",
	    "relayed.example\n.below.example\nhamburger.edu\n");
	struct domains *t = domains_load(d.fd);
	assert_non_null(t);
	for (size_t i = 0; i < N_ELEMENTS(finds); i++) {
		struct str prepend = STR("unset");
		assert_int_equal(
		    domains_find(t, str_of(finds[i].domain), &prepend),
		    finds[i].kind);
		assert_true(str_eq(prepend, str_of(finds[i].prepend)));
	}
	char big[400];
	struct str prepend;
	memset(big, 'a', sizeof(big));
	assert_int_equal(
	    domains_find(t, (struct str){ big, sizeof(big) }, &prepend),
	    DOMAIN_FOREIGN);
	domains_free(t);
	dir_remove(&d);
}

/* No locals: me is local.  An empty locals: nothing is. */
static void
locals_default_to_me(void **state)
{
	(void)state;
	struct dir d;
	struct str prepend;
	dir_make(&d);
	put(&d, "me", "mx.example\n");
	struct domains *t = domains_load(d.fd);
	assert_non_null(t);
	assert_int_equal(
	    domains_find(t, STR("mx.example"), &prepend), DOMAIN_LOCAL);
	domains_free(t);
	put(&d, "locals", "# none\n");
	t = domains_load(d.fd);
	assert_non_null(t);
	assert_int_equal(
	    domains_find(t, STR("mx.example"), &prepend), DOMAIN_FOREIGN);
	domains_free(t);
	dir_remove(&d);
}

static const struct {
	const char *file, *text;
} wrongs[] = {
	{ "locals", "good.example\nbad domain\n" },
	{ "locals", "a..b\n" },
	{ "locals", "bob@hamburger.edu\n" },
	{ "virtualdomains", ":everything\n" },
	{ "virtualdomains", "bob@hamburger.edu:bob\n" },
	{ "virtualdomains", "a.example:x\na.example:y\n" },
	{ "virtualdomains", "[192.0.2.1:x\n" },
	{ "rcpthosts", "*\n" },
	{ "rcpthosts", ".\n" },
};

static void
refuses_nonsense(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(wrongs); i++) {
		struct dir d;
		dir_make(&d);
		put(&d, "me", "mx.example\n");
		put(&d, wrongs[i].file, wrongs[i].text);
		assert_null(domains_load(d.fd));
		dir_remove(&d);
	}
	domains_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_nearest),
		cmocka_unit_test(locals_default_to_me),
		cmocka_unit_test(refuses_nonsense),
	};
	log_init("test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
