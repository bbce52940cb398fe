/* SPDX-License-Identifier: ISC
 * Unit test of what postern-queue and postern-pickup read: envelopes, text,
 * addresses, files of the drop box and their names; the input cut anywhere.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "inject/dropfile.h"
#include "inject/dropname.h"
#include "inject/lines.h"
#include "inject/mailbox.h"
#include "inject/paths.h"

/* ---- envelopes ---- */

#define LONG_254                                                               \
	"0123456789012345678901234567890123456789012345678901234567890123"     \
	"0123456789012345678901234567890123456789012345678901234567890123"     \
	"0123456789012345678901234567890123456789012345678901234567890123"     \
	"01234567890123456789012345678901234567890123456789012345678901"

/* A constant with its NUL bytes. */
#define IN(literal)                                                            \
	{                                                                      \
		.p = (literal), .n = sizeof(literal) - 1                       \
	}

static const struct path_case {
	struct str in;
	const char *out; /* type and path, a line each */
	enum paths_status end;
} path_cases[] = {
	{ IN("Fa\0Tb\0\0"), "Fa\nTb\n", PATHS_END },
	{ IN("F\0Tb@x\0Tc@y\0\0rest"), "F\nTb@x\nTc@y\n", PATHS_END },
	{ IN("F\0\0"), "F\n", PATHS_END },
	{ IN("F\0T\0\0"), "F\nT\n", PATHS_END },
	{ IN(""), "", PATHS_MORE },
	{ IN("Fa"), "", PATHS_MORE },
	{ IN("Fa\0"), "Fa\n", PATHS_MORE },
	{ IN("Fa\0Tb\0"), "Fa\nTb\n", PATHS_MORE },
	{ IN("\0"), "", PATHS_BAD },
	{ IN("Ta\0\0"), "", PATHS_BAD },
	{ IN("fa\0\0"), "", PATHS_BAD },
	{ IN("Fa\0Fb\0\0"), "Fa\n", PATHS_BAD },
	{ IN("Fa\0b\0\0"), "Fa\n", PATHS_BAD },
	{ IN("Fa\0\nTb\0\0"), "Fa\n", PATHS_BAD },
	{ IN("F" LONG_254 "\0\0"), "F" LONG_254 "\n", PATHS_END },
	{ IN("F" LONG_254 "x\0\0"), "", PATHS_LONG },
	{ IN("F\0T" LONG_254 "x"), "F\n", PATHS_LONG },
};

static enum paths_status
read_paths(struct str in, size_t piece, struct buf *out)
{
	struct paths p = { .n = 0 };
	enum paths_status status = PATHS_MORE;

	while (status == PATHS_MORE && in.n > 0) {
		struct str part = str_head(in, piece);
		in = str_skip(in, part.n);
		do {
			char type;
			struct str path;
			status = paths_next(&p, &part, &type, &path);
			if (status == PATHS_ONE) {
				buf_putc(out, type);
				buf_put(out, path);
				buf_putc(out, '\n');
			}
		} while (status == PATHS_ONE);
	}
	return status;
}

static void
test_paths(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(path_cases); i++)
		for (size_t piece = 1; piece <= path_cases[i].in.n + 1;
		     piece++) {
			char space[600];
			struct buf out = BUF_ON(space);
			assert_int_equal(
			    read_paths(path_cases[i].in, piece, &out),
			    path_cases[i].end);
			assert_string_equal(buf_cstr(&out), path_cases[i].out);
		}
}

/* ---- text ---- */

static const struct line_case {
	struct str in;
	const char *out;
	enum lines_status status;
} line_cases[] = {
	{ IN(""), "", LINES_OK },
	{ IN("a"), "a", LINES_OK },
	{ IN("\n\n"), "\n\n", LINES_OK },
	{ IN("a\nb\n"), "a\nb\n", LINES_OK },
	{ IN("a\r\nb\r\n"), "a\nb\n", LINES_OK },
	{ IN("\r\n\r\nx"), "\n\nx", LINES_OK },
	{ IN("a\r\nb"), "a\nb", LINES_OK },
	{ IN("\x01\xff\t\x7f\n"), "\x01\xff\t\x7f\n", LINES_OK },
	{ IN("a\r\nb\n"), "a\nb", LINES_MIXED },
	{ IN("a\nb\r\n"), "a\nb", LINES_MIXED },
	{ IN("a\rb\n"), "a", LINES_CR },
	{ IN("a\r"), "a", LINES_CR },
	{ IN("a\n\r"), "a\n", LINES_CR },
	{ IN("a\r\r\n"), "a", LINES_CR },
	{ IN("a\r\0"), "a", LINES_NUL },
	{ IN("\0"), "", LINES_NUL },
	{ IN("a\nb\0c\n"), "a\nb", LINES_NUL },
};

/* Through an output of one byte at a time, too. */
static enum lines_status
read_lines(struct str in, size_t piece, size_t room, struct buf *all)
{
	struct lines l = { .cr = false };
	enum lines_status status = LINES_OK;
	char space[8];

	while (status == LINES_OK && in.n > 0) {
		struct str part = str_head(in, piece);
		in = str_skip(in, part.n);
		while (status == LINES_OK && part.n > 0) {
			struct buf out = { .p = space, .cap = room };
			status = lines_feed(&l, &part, &out);
			buf_put(all, buf_str(&out));
		}
	}
	return status == LINES_OK ? lines_end(&l) : status;
}

static void
test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(line_cases); i++)
		for (size_t piece = 1; piece <= line_cases[i].in.n + 1; piece++)
			for (size_t room = 1; room <= 8; room++) {
				char space[64];
				struct buf out = BUF_ON(space);
				assert_int_equal(read_lines(line_cases[i].in,
						     piece, room, &out),
				    line_cases[i].status);
				assert_string_equal(
				    buf_cstr(&out), line_cases[i].out);
			}
	for (int s = LINES_CR; s <= LINES_NUL; s++)
		assert_int_equal(lines_why((enum lines_status)s)[0], '5');
}

/* ---- addresses ---- */

static const struct mailbox_case {
	const char *in, *out; /* NULL: refused */
} mailbox_cases[] = {
	{ "a@b.example", "a@b.example" },
	{ "A@B.Example", "A@b.example" },
	{ "joe", "joe@me.example" },
	{ "joe user", "\"joe user\"@me.example" },
	{ "joe user@b.example", "\"joe user\"@b.example" },
	{ "\"joe user\"@b.example", "\"joe user\"@b.example" },
	{ "a..b@b.example", "\"a..b\"@b.example" },
	{ ".a@b.example", "\".a\"@b.example" },
	{ "a\"b@b.example", "\"a\\\"b\"@b.example" },
	{ "a\\b@b.example", "\"a\\\\b\"@b.example" },
	{ "a@b@c.example", "\"a@b\"@c.example" },
	{ "a@[192.0.2.1]", "a@[192.0.2.1]" },
	{ "", NULL },
	{ "@b.example", NULL },
	{ "a@", NULL },
	{ "a@b c", NULL },
	{ "a@-b", NULL },
	{ "a\n@b.example", NULL },
	{ "\xc3\xa4@b.example", NULL },
	{ "#@[]", NULL },
	{ "list-@host-@[]", NULL },
};

static void
test_mailboxes(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(mailbox_cases); i++) {
		const struct mailbox_case *c = &mailbox_cases[i];
		char space[LIMIT_ADDRESS + 1];
		struct buf out = BUF_ON(space);
		enum address_status status =
		    mailbox_put(&out, str_of(c->in), STR("me.example"));
		assert_int_equal(status == ADDRESS_OK, c->out != NULL);
		assert_string_equal(
		    buf_cstr(&out), c->out == NULL ? "" : c->out);
	}
}

static void
test_senders(void **state)
{
	(void)state;
	char space[LIMIT_ADDRESS];
	struct buf out = BUF_ON(space);
	assert_int_equal(
	    mailbox_put_sender(&out, STR(""), STR("me.example")), ADDRESS_OK);
	assert_int_equal(out.n, 0);
	assert_int_equal(
	    mailbox_put_sender(&out, STR("#@[]"), STR("me.example")),
	    ADDRESS_OK);
	assert_string_equal(buf_cstr(&out), "#@[]");
	buf_reset(&out);
	assert_int_equal(
	    mailbox_put_sender(&out, STR("a"), STR("me.example")), ADDRESS_OK);
	assert_string_equal(buf_cstr(&out), "a@me.example");
}

static void
test_long_address(void **state)
{
	(void)state;
	char in[LIMIT_ADDRESS + 2], space[LIMIT_ADDRESS];
	struct buf out = BUF_ON(space);
	memset(in, ' ', sizeof(in)); /* a quoted local part of 65 */
	memcpy(in + 65, "@b.example", 11);
	assert_int_equal(
	    mailbox_put(&out, str_of(in), STR("me.example")), ADDRESS_TOO_LONG);
	/* its length is the fault of the host that is added */
	memset(in, 'a', 64);
	in[64] = '\0';
	char host[LIMIT_DOMAIN + 1];
	for (size_t i = 0; i < sizeof(host); i++)
		host[i] = i % 50 == 49 ? '.' : 'h';
	host[LIMIT_DOMAIN - 5] = '\0';
	assert_int_equal(
	    mailbox_put(&out, str_of(in), str_of(host)), ADDRESS_TOO_LONG);
	assert_int_equal(out.n, 0);
}

/* ---- files of the drop box ---- */

static const struct name_case {
	const char *name; /* NULL: the same as put */
	struct dropname d;
	bool good;
} name_cases[] = {
	{ "0.0", { 0, 0, false }, true },
	{ "1000.17", { 1000, 17, false }, true },
	{ "1000.17.tmp", { 1000, 17, true }, true },
	{ "4294967295.99999", { UINT32_MAX, 99999, false }, true },
	{ "4294967296.0", { 0, 0, false }, false },
	{ "0.100000", { 0, 0, false }, false },
	{ "00.0", { 0, 0, false }, false },
	{ "0.00", { 0, 0, false }, false },
	{ "0", { 0, 0, false }, false },
	{ "0.", { 0, 0, false }, false },
	{ ".0", { 0, 0, false }, false },
	{ "0.0.", { 0, 0, false }, false },
	{ "0.0.tmp.tmp", { 0, 0, false }, false },
	{ "0.0.TMP", { 0, 0, false }, false },
	{ "0.-1", { 0, 0, false }, false },
	{ "", { 0, 0, false }, false },
};

static void
test_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(name_cases); i++) {
		const struct name_case *c = &name_cases[i];
		struct dropname d;
		char space[DROPNAME_ROOM];
		struct buf b = BUF_ON(space);
		assert_int_equal(dropname_parse(str_of(c->name), &d), c->good);
		if (!c->good)
			continue;
		assert_int_equal(d.uid, c->d.uid);
		assert_int_equal(d.slot, c->d.slot);
		assert_int_equal(d.tmp, c->d.tmp);
		assert_string_equal(dropname_put(&b, &d), c->name);
	}
}

#define HEAD "6:Q\1\0\0\3\350," /* uid 1000 */

static const struct file_case {
	struct str in;
	const char *out; /* what is sent on */
	enum dropfile_status end;
} file_cases[] = {
	{ IN(HEAD "3:Bx\n,2:Fa,4:Tb@c,1:C,"), "3:Bx\n,2:Fa,4:Tb@c,",
	    DROPFILE_END },
	{ IN(HEAD "1:F,2:Tb,2:Tc,1:C,"), "1:F,2:Tb,2:Tc,", DROPFILE_END },
	{ IN(HEAD "1:F,2:Tb,"), "1:F,2:Tb,", DROPFILE_MORE },
	{ IN(HEAD "1:F,1:C,"), "1:F,", DROPFILE_BAD },
	{ IN(HEAD "1:C,"), "", DROPFILE_BAD },
	{ IN(HEAD "2:Tb,"), "", DROPFILE_BAD },
	{ IN(HEAD "1:F,1:F,"), "1:F,", DROPFILE_BAD },
	{ IN(HEAD "1:F,2:Bx,"), "1:F,", DROPFILE_BAD },
	{ IN(HEAD "1:F,2:Tb,2:Cx,"), "1:F,2:Tb,", DROPFILE_BAD },
	{ IN(HEAD "2:Px,"), "", DROPFILE_BAD },
	{ IN(HEAD "2:Ux,"), "", DROPFILE_BAD },
	{ IN(HEAD "1:X,"), "", DROPFILE_BAD },
	{ IN(HEAD HEAD), "", DROPFILE_BAD },
	{ IN(HEAD "99999:B"), "", DROPFILE_BAD },
	{ IN("2:Bx,"), "", DROPFILE_BAD },
	{ IN("6:Q\2\0\0\3\350,"), "", DROPFILE_BAD },
	{ IN("7:Q\1\0\0\3\350x,"), "", DROPFILE_BAD },
	{ IN("\0\0\0\0"), "", DROPFILE_BAD },
	{ IN(""), "", DROPFILE_MORE },
};

static void
test_files(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(file_cases); i++) {
		const struct file_case *c = &file_cases[i];
		struct dropfile d = { .begun = false };
		struct str in = c->in, frame;
		char space[128];
		struct buf out = BUF_ON(space);
		size_t used;
		enum dropfile_status s;
		while ((s = dropfile_next(&d, in, &frame, &used)) ==
		       DROPFILE_FRAME) {
			buf_put(&out, frame);
			in = str_skip(in, used);
		}
		assert_int_equal(s, c->end);
		assert_string_equal(buf_cstr(&out), c->out);
		if (s == DROPFILE_END) {
			assert_int_equal(d.uid, 1000);
			assert_int_equal(used, in.n);
		}
	}
}

static void
test_head_of_a_file(void **state)
{
	(void)state;
	char space[16], payload_space[16];
	struct buf payload = BUF_ON(payload_space), out = BUF_ON(space);
	dropfile_put_head(&payload, 1000);
	frame_put(&out, 'Q', buf_str(&payload));
	assert_true(str_eq(buf_str(&out), STR(HEAD)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_mailboxes),
		cmocka_unit_test(test_senders),
		cmocka_unit_test(test_long_address),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_head_of_a_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
