/* SPDX-License-Identifier: ISC
 * Unit tests of start/plan: the two tables fit together.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "common/control.h"
#include "start/family.h"

static size_t
role_count(const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < plan_role_count; i++)
		n += strcmp(plan_roles[i].name, name) == 0;
	return n;
}

static void
test_roles(void **state)
{
	(void)state;
	assert_true(plan_role_count <= FAMILY_ROLES);
	for (size_t i = 0; i < plan_role_count; i++) {
		const struct plan_role *r = &plan_roles[i];
		assert_int_equal(role_count(r->name), 1);
		assert_true(strncmp(r->program, "postern-", 8) == 0);
		assert_true(r->stage < STAGES);
		/* become alone is root */
		assert_int_equal(strcmp(r->user, "root") == 0,
		    strcmp(r->name, "become") == 0);
		if (r->tcp != NULL) {
			const struct control_setting *s = control_find(r->tcp);
			assert_non_null(s);
			assert_int_equal(s->kind, CONTROL_LIST);
		}
	}
}

static void
test_links(void **state)
{
	(void)state;
	assert_true(plan_link_count <= FAMILY_LINKS);
	for (size_t i = 0; i < plan_link_count; i++) {
		const struct plan_link *l = &plan_links[i];
		assert_int_equal(role_count(l->a), 1);
		assert_int_equal(role_count(l->b), 1);
		assert_string_not_equal(l->a, l->b);
		for (size_t k = 0; k < i; k++) {
			const struct plan_link *m = &plan_links[k];
			assert_false(
			    strcmp(l->a, m->a) == 0 && strcmp(l->b, m->b) == 0);
			assert_false(
			    strcmp(l->a, m->b) == 0 && strcmp(l->b, m->a) == 0);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
