/* SPDX-License-Identifier: ISC
 * Unit test of users/line.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>
#include "users/line.h"

#define HASH                                                                   \
	"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$"               \
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static const struct {
	const char *in, *key;
} keys[] = {
	{ "bob@hamburger.edu", "bob@hamburger.edu" },
	{ "Bob@Hamburger.EDU", "bob@hamburger.edu" },
	{ "bob@hamburger.edu.", "bob@hamburger.edu" },
	{ "\"Bob\"@hamburger.edu", "bob@hamburger.edu" },
	{ "\"a b\"@x.example", "a b@x.example" },
	{ "\"a\\\"b\"@x.example", "a\"b@x.example" },
	{ "\"a@b\"@x.example", "a@b@x.example" },
	{ "Bob", "bob" },
	{ "@X.example", "@x.example" },
	{ "bob@[IPv6:2001:DB8::1]", "bob@[ipv6:2001:db8::1]" },
	{ "", "" },
};

static void
keys_fold_case_and_quotes(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(keys); i++) {
		char room[LINE_KEY];
		struct buf b = BUF_ON(room);
		line_put_key(&b, str_of(keys[i].in));
		assert_true(str_eq(buf_str(&b), str_of(keys[i].key)));
		assert_false(b.full);
	}
}

static void
a_key_too_long_is_full(void **state)
{
	(void)state;
	char big[LINE_KEY + 10], room[LINE_KEY];
	struct buf b = BUF_ON(room);
	memset(big, 'a', sizeof(big));
	line_put_key(&b, (struct str){ big, sizeof(big) });
	assert_true(b.full);
}

static const struct {
	const char *path;
	bool good;
} mailboxes[] = {
	{ "hamburger.edu/bob", true },
	{ "bob", true },
	{ "a b/c", true },
	{ "", false },
	{ "/etc", false },
	{ "a/", false },
	{ "a//b", false },
	{ "..", false },
	{ "a/../b", false },
	{ "a/.b", false },
	{ ".", false },
	{ "a:b", false },
	{ "a\nb", false },
	{ "a\x7f", false },
};

static void
mailboxes_stay_below(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(mailboxes); i++)
		assert_int_equal(line_is_mailbox(str_of(mailboxes[i].path)),
		    mailboxes[i].good);
	assert_false(line_is_mailbox(STR("a\0b")));
}

static const struct {
	const char *hash;
	bool good;
} hashes[] = {
	{ HASH, true },
	{ "", false },
	{ "hungry", false },
	{ "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAA"
	  "AAAAAAAAA",
	    false },
	{ "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$", false },
	{ "$argon2id$v=19$m=65536,t=2,p=1$$AAAAAAAAAAAAAAAAAAAAAA", false },
	{ "$argon2id$v=19$m=0,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAA"
	  "AAAAA",
	    false },
	{ "$argon2id$v=19$m=999999999,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAA"
	  "AAAAAAAAAAAAAA",
	    false },
	{ "$argon2id$v=19$m=65536,t=99,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAA"
	  "AAAAAAAAAAA",
	    false },
	{ HASH "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", false },
};

static void
hashes_are_checked(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(hashes); i++)
		assert_int_equal(
		    line_is_hash(str_of(hashes[i].hash)), hashes[i].good);
}

static const struct {
	const char *line, *address, *mailbox; /* address NULL: wrong */
} users[] = {
	{ "bob@hamburger.edu:" HASH ":hamburger.edu/bob", "bob@hamburger.edu",
	    "hamburger.edu/bob" },
	{ "\"a:b\"@x.example:" HASH ":x/y", "\"a:b\"@x.example", "x/y" },
	{ "b@[IPv6:2001:db8::1]:" HASH ":six", "b@[IPv6:2001:db8::1]", "six" },
	{ "sysop:" HASH ":", "sysop", "" },
	{ "sysop:" HASH, NULL, NULL },
	{ "sysop:" HASH ":mail", NULL, NULL },
	{ "bob@hamburger.edu:" HASH ":", NULL, NULL },
	{ "bob@hamburger.edu:" HASH ":../x", NULL, NULL },
	{ "bob@hamburger.edu:hungry:x", NULL, NULL },
	{ "bob@hamburger.edu", NULL, NULL },
	{ "bob@:" HASH ":x", NULL, NULL },
	{ ":" HASH ":x", NULL, NULL },
	{ "@hamburger.edu:" HASH ":x", NULL, NULL },
	{ "\"bob@hamburger.edu:" HASH ":x", NULL, NULL },
	{ "b ob:" HASH ":", NULL, NULL },
	{ "-bob:" HASH ":", NULL, NULL },
};

static void
user_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(users); i++) {
		struct line_user u;
		const char *wrong = line_user(str_of(users[i].line), &u);
		assert_int_equal(wrong == NULL, users[i].address != NULL);
		if (wrong)
			continue;
		assert_true(str_eq(u.address, str_of(users[i].address)));
		assert_true(str_eq(u.hash, str_of(HASH)));
		assert_true(str_eq(u.mailbox, str_of(users[i].mailbox)));
	}
}

static const struct {
	const char *line, *address, *targets; /* targets: joined by | */
} aliases[] = {
	{ "info@x.example: bob@x.example, Alice@Crepes.FR", "info@x.example",
	    "bob@x.example|Alice@crepes.fr" },
	{ "info@x.example:bob", "info@x.example", "bob@me.example" },
	{ "root : bob@x.example\tcarol@x.example,", "root",
	    "bob@x.example|carol@x.example" },
	{ "@x.example: bob@x.example", "@x.example", "bob@x.example" },
	{ "\"a b\"@x.example: \"c, d\"@x.example", "\"a b\"@x.example",
	    "\"c, d\"@x.example" },
	{ "p@[IPv6:2001:db8::1]: bob@x.example", "p@[IPv6:2001:db8::1]",
	    "bob@x.example" },
	{ "info@x.example: |/bin/sh", "info@x.example", NULL },
	{ "info@x.example: /var/mail/x", "info@x.example", NULL },
	{ "info@x.example: :include:/x", "info@x.example", NULL },
	{ "info@x.example: bob@", "info@x.example", NULL },
	{ "info@x.example: bob@x.example bob@@", "info@x.example", NULL },
	{ "info@x.example:", NULL, NULL },
	{ "info@x.example", NULL, NULL },
	{ ": bob@x.example", NULL, NULL },
	{ "a b: bob@x.example", NULL, NULL },
	{ "@: bob@x.example", NULL, NULL },
};

static void
alias_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(aliases); i++) {
		struct line_alias a;
		char room[512], one[LIMIT_ADDRESS];
		struct buf all = BUF_ON(room), target = BUF_ON(one);
		const char *wrong = line_alias(str_of(aliases[i].line), &a);
		assert_int_equal(wrong == NULL, aliases[i].address != NULL);
		if (wrong)
			continue;
		assert_true(str_eq(a.address, str_of(aliases[i].address)));
		while (!wrong && line_alias_next(
				     &a, STR("me.example"), &target, &wrong)) {
			if (all.n)
				buf_putc(&all, '|');
			buf_put(&all, buf_str(&target));
		}
		assert_int_equal(wrong == NULL, aliases[i].targets != NULL);
		if (!wrong)
			assert_true(
			    str_eq(buf_str(&all), str_of(aliases[i].targets)));
	}
}

static const struct {
	const char *line;
	bool good;
} relays[] = {
	{ "alice@relay.example", true },
	{ "@relay.example", true },
	{ "@[192.0.2.1]", true },
	{ "alice", false },
	{ "@", false },
	{ "relay.example", false },
	{ "a@b c", false },
};

static void
relay_lines(void **state)
{
	(void)state;
	struct str address;
	for (size_t i = 0; i < N_ELEMENTS(relays); i++)
		assert_int_equal(
		    line_relay(str_of(relays[i].line), &address) == NULL,
		    relays[i].good);
}

static const struct {
	const char *line;
	bool good;
} accounts[] = {
	{ "bob:1000:/home/bob", true },
	{ "bob:1000:", true },
	{ "bob:999:/home/bob", false },
	{ "root:0:/root", false },
	{ "nobody:65534:/", false },
	{ "bob:x:/home/bob", false },
	{ "bob:1000", false },
	{ ":1000:/", false },
	{ "bob:99999999999:/", false },
	{ "b b:1000:/", false },
	{ "a-name-of-more-than-thirty-two-bytes:1000:/", false },
};

static void
account_lines(void **state)
{
	(void)state;
	struct line_account a;
	for (size_t i = 0; i < N_ELEMENTS(accounts); i++)
		assert_int_equal(
		    line_account(str_of(accounts[i].line), &a) == NULL,
		    accounts[i].good);
}

/* Every beginning of a good line gets an answer and reads nothing behind it. */
static void
cut_lines_are_answered(void **state)
{
	(void)state;
	static const char line[] = "\"a:b\"@[IPv6:2001:db8::1]:" HASH ":xyz";
	for (size_t n = 0; n < sizeof(line); n++) {
		char *copy = test_malloc(n ? n : 1);
		memcpy(copy, line, n);
		struct str s = { copy, n };
		struct line_user u;
		struct line_alias a;
		struct line_account c;
		struct str r;
		char room[LINE_KEY], one[LIMIT_ADDRESS];
		struct buf key = BUF_ON(room), target = BUF_ON(one);
		const char *wrong = line_user(s, &u);
		assert_int_equal(wrong == NULL, n >= sizeof(line) - 3);
		(void)line_relay(s, &r);
		(void)line_account(s, &c);
		line_put_key(&key, s);
		wrong = line_alias(s, &a);
		while (!wrong &&
		       line_alias_next(&a, STR("me.example"), &target, &wrong))
			continue;
		test_free(copy);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_fold_case_and_quotes),
		cmocka_unit_test(a_key_too_long_is_full),
		cmocka_unit_test(mailboxes_stay_below),
		cmocka_unit_test(hashes_are_checked),
		cmocka_unit_test(user_lines),
		cmocka_unit_test(alias_lines),
		cmocka_unit_test(relay_lines),
		cmocka_unit_test(account_lines),
		cmocka_unit_test(cut_lines_are_answered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
