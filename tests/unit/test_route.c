/* SPDX-License-Identifier: ISC
 * Tests of send/route: what a line means, and which line counts.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/log.h"
#include "send/route.h"

static const struct {
	const char *line, *domain, *host; /* host NULL: the line is wrong */
	uint16_t port;
} lines[] = {
	{ "a.example:b.example:2525", "a.example", "b.example", 2525 },
	{ "a.example:b.example", "a.example", "b.example", 25 },
	{ "a.example:192.0.2.1:26", "a.example", "192.0.2.1", 26 },
	{ "a.example:[192.0.2.1]:26", "a.example", "192.0.2.1", 26 },
	{ "a.example:[2001:db8::1]", "a.example", "2001:db8::1", 25 },
	{ "a.example:[IPv6:2001:db8::1]:1", "a.example", "2001:db8::1", 1 },
	{ ".a.example:b", ".a.example", "b", 25 },
	{ ":smart.example", "", "smart.example", 25 },
	{ ":[::1]:65535", "", "::1", 65535 },
	{ "a.example:", "a.example", "", 25 },
	{ "[192.0.2.9]:b.example", "[192.0.2.9]", "b.example", 25 },
	{ "[IPv6:2001:db8::9]:b:26", "[IPv6:2001:db8::9]", "b", 26 },
	{ "  a:b:26 ", "a", "b", 26 },
	{ "a.example:b:", "a.example", "b", 25 },
	{ "a.example", NULL, NULL, 0 },
	{ "", NULL, NULL, 0 },
	{ "a.example:b:0", NULL, NULL, 0 },
	{ "a.example:b:65536", NULL, NULL, 0 },
	{ "a.example:b:25x", NULL, NULL, 0 },
	{ "a.example:b:25:1", NULL, NULL, 0 },
	{ "a.example::26", NULL, NULL, 0 },
	{ "a.example:2001:db8::1", NULL, NULL, 0 },
	{ "a.example:[2001:db8::1", NULL, NULL, 0 },
	{ "a.example:[x]", NULL, NULL, 0 },
	{ "a.example:[::1]26", NULL, NULL, 0 },
	{ "a b:c", NULL, NULL, 0 },
	{ "a:b c", NULL, NULL, 0 },
	{ "[192.0.2.9:b", NULL, NULL, 0 },
	{ ".:b", NULL, NULL, 0 },
};

static void
parse_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(lines); i++) {
		struct route route;
		const char *wrong = route_parse(str_of(lines[i].line), &route);

		if (lines[i].host == NULL) {
			if (wrong == NULL)
				fail_msg("'%s' was taken", lines[i].line);
			continue;
		}
		if (wrong != NULL)
			fail_msg("'%s': %s", lines[i].line, wrong);
		assert_true(str_eq(route.domain, str_of(lines[i].domain)));
		assert_true(str_eq(route.host, str_of(lines[i].host)));
		assert_int_equal(route.port, lines[i].port);
	}
}

static struct routes *
load(const char *content)
{
	char dir[] = "/tmp/test-route-XXXXXX";

	assert_non_null(mkdtemp(dir));
	int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dirfd >= 0);
	if (content != NULL) {
		int fd = openat(
		    dirfd, "smtproutes", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		size_t n = strlen(content);

		assert_true(fd >= 0);
		assert_int_equal(write(fd, content, n), (ssize_t)n);
		assert_int_equal(close(fd), 0);
	}
	struct routes *routes = routes_load(dirfd);
	if (content != NULL)
		assert_int_equal(unlinkat(dirfd, "smtproutes", 0), 0);
	assert_int_equal(close(dirfd), 0);
	assert_int_equal(rmdir(dir), 0);
	return routes;
}

static const struct {
	const char *domain, *host; /* host NULL: by MX */
	uint16_t port;
} found[] = {
	{ "a.example", "ha", 25 },
	{ "A.EXAMPLE", "ha", 25 },
	{ "x.a.example", "hsub", 26 },
	{ "y.x.a.example", "hsub", 26 },
	{ "z.x.a.example", "hsub", 26 },
	{ "mx.example", NULL, 0 },
	{ "x.mx.example", "::1", 2525 },
	{ "other.example", "::1", 2525 },
	{ "xa.example", "::1", 2525 },
	{ "example", "::1", 2525 },
	{ "[192.0.2.1]", "hlit", 25 },
	{ "twice.example", "second", 25 },
	{ "", "::1", 2525 },
};

static void
find_routes(void **state)
{
	(void)state;
	struct routes *routes = load("# comment\n"
				     "a.example:HA\n"
				     ".a.Example:hsub:26\n"
				     "mx.example:\n"
				     "[192.0.2.1]:hlit\n"
				     "twice.example:first:1\n"
				     "twice.example:second\n"
				     "\n"
				     ":[::1]:2525\n");

	assert_non_null(routes);
	for (size_t i = 0; i < N_ELEMENTS(found); i++) {
		struct str host;
		uint16_t port = 0;
		bool hit =
		    routes_find(routes, str_of(found[i].domain), &host, &port);

		if (hit != (found[i].host != NULL))
			fail_msg("%s", found[i].domain);
		if (!hit)
			continue;
		assert_true(str_eq(host, str_of(found[i].host)));
		assert_int_equal(port, found[i].port);
	}
	char longer[1000];
	struct str host;
	uint16_t port;
	memset(longer, 'a', sizeof(longer));
	assert_false(routes_find(
	    routes, (struct str){ longer, sizeof(longer) }, &host, &port));
	routes_free(routes);
}

static void
load_nothing_and_nonsense(void **state)
{
	(void)state;
	struct routes *routes = load(NULL);
	struct str host;
	uint16_t port;

	assert_non_null(routes);
	assert_false(routes_find(routes, STR("a.example"), &host, &port));
	routes_free(routes);
	assert_null(load("a.example:b\nnonsense\n"));
	routes_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parse_lines),
		cmocka_unit_test(find_routes),
		cmocka_unit_test(load_nothing_and_nonsense),
	};

	log_init("test");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
