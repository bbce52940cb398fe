/* SPDX-License-Identifier: ISC
 * Unit test of users/aliasfile.c: what is read of which text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "common/buf.h"
#include "users/aliasfile.h"

/* "LINE name= KIND:target@LINE ...;" of each entry, "!" for a wrong one. */
static const struct {
	const char *text, *read;
} rows[] = {
	{ "", "" },
	{ "\n \n# a\n\t# b: c\n", "" },
	{ "root: alice\n", "1 root= A:alice@1;" },
	{ "root: alice", "1 root= A:alice@1;" },
	{ "Root :  alice ,bob,\r\n\tcarol\r\n",
	    "1 Root= A:alice@1 A:bob@1 A:carol@2;" },
	{ "# c\na: b,\n\n# between\n  c\n# d\nd: e\n",
	    "2 a= A:b@2 A:c@5; 7 d= A:e@7;" },
	{ "\"a: b\": \"c, d\"@x.example, e\n",
	    "1 \"a: b\"= A:\"c, d\"@x.example@1 A:e@1;" },
	{ "a: |prog x, \"|prog y, z\", /f, \"/g h\"\n",
	    "1 a= P:|prog x@1 P:|prog y, z@1 F:/f@1 F:/g h@1;" },
	{ "a: :include:/x, \":Include: /y z\", :fail: no, \\a\n",
	    "1 a= I:/x@1 I:/y z@1 S::fail: no@1 O:\\a@1;" },
	{ "a: Bob B <bob@x.example>, \"C, D\" <c@x.example>\n",
	    "1 a= A:bob@x.example@1 A:c@x.example@1;" },
	{ "a:\nb:c\n", "1 a=; 2 b= A:c@2;" },
	{ " a: b\nc: d\n", "1 !; 2 c= A:d@2;" },
	{ "no colon\n: x\n", "1 !; 2 !;" },
	{ "a: \"open, b\nc: d\n", "1 a= A:\"open, b@1; 2 c= A:d@2;" },
	{ "a: b c\n", "1 a= A:b c@1;" },
};

static void
put_entry(struct buf *b, struct aliasfile_entry *e, const char *wrong)
{
	static const char kinds[] = "APFISO";
	struct aliasfile_target t;

	if (b->n > 0)
		buf_putc(b, ' ');
	buf_put_u64(b, e->line);
	buf_putc(b, ' ');
	if (wrong != NULL) {
		buf_puts(b, "!;");
		return;
	}
	buf_put(b, e->name);
	buf_putc(b, '=');
	while (aliasfile_target(&e->values, &t)) {
		buf_putc(b, ' ');
		buf_putc(b, kinds[t.kind]);
		buf_putc(b, ':');
		buf_put(b, t.text);
		buf_putc(b, '@');
		buf_put_u64(b, t.line);
	}
	buf_putc(b, ';');
}

static void
entries(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
		char room[1024];
		struct buf b = BUF_ON(room);
		struct aliasfile f = { str_of(rows[i].text), 1 };
		struct aliasfile_entry e;
		const char *wrong;

		while (aliasfile_entry(&f, &e, &wrong))
			put_entry(&b, &e, wrong);
		assert_string_equal(buf_cstr(&b), rows[i].read);
	}
}

/* A file that :include: names: each line's end parts, too. */
static void
included(void **state)
{
	struct aliasfile f = { STR("# list\nalice\nbob@x.example, carol\n"),
		1 };
	struct aliasfile_target t;
	static const char *const want[] = { "alice", "bob@x.example", "carol" };
	static const unsigned lines[] = { 2, 3, 3 };

	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(want); i++) {
		assert_true(aliasfile_target(&f, &t));
		assert_true(str_eq(t.text, str_of(want[i])));
		assert_int_equal(t.line, lines[i]);
	}
	assert_false(aliasfile_target(&f, &t));
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(entries),
		cmocka_unit_test(included) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
