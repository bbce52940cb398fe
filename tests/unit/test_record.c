/* SPDX-License-Identifier: ISC
 * Tests of queue/record, queue/envelope and queue/mess: what is written is read
 * back, and nothing else is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "queue/envelope.h"
#include "queue/mess.h"
#include "queue/record.h"

static const unsigned char key[RECORD_KEY] = "0123456789abcdef0123456789abcde";
static const unsigned char other_key[RECORD_KEY] = "another key";

enum { AT = 8192, SPACE = 1024 };

static const struct record sample = { .epoch = 0x1122334455667788,
	.sequence = 42,
	.id = 0x000660d2d737ec8c,
	.type = RECORD_MESSAGE,
	.meta_n = 5,
	.body_n = 6 };

static struct str
make_record(char *space)
{
	memcpy(space + RECORD_HEAD, "meta!body!!\0\0\0\0\0", 16);
	struct str meta = { space + RECORD_HEAD, 5 };
	struct str body = { space + RECORD_HEAD + 5, 6 };
	record_seal(key, &sample, AT, meta, body, space);
	return (struct str){ space, (size_t)record_span(5, 6) };
}

static void
test_record_round_trip(void **state)
{
	(void)state;
	char space[SPACE];
	struct str in = make_record(space);
	struct record r;
	struct str meta, body;
	assert_int_equal(in.n, 80);
	assert_true(record_open(key, AT, in, &r, &meta, &body));
	assert_true(r.epoch == sample.epoch && r.sequence == sample.sequence &&
		    r.id == sample.id && r.type == sample.type);
	assert_true(str_eq(meta, STR("meta!")));
	assert_true(str_eq(body, STR("body!!")));
}

static void
test_record_elsewhere_is_none(void **state)
{
	(void)state;
	char space[SPACE];
	struct str in = make_record(space);
	struct record r;
	struct str meta, body;
	assert_false(record_open(key, AT + 8, in, &r, &meta, &body));
	assert_false(record_open(key, 0, in, &r, &meta, &body));
	assert_false(record_open(other_key, AT, in, &r, &meta, &body));
}

static void
test_record_every_cut_and_bit(void **state)
{
	(void)state;
	char space[SPACE];
	struct str in = make_record(space);
	struct record r;
	struct str meta, body;
	for (size_t n = 0; n < in.n; n++)
		assert_false(
		    record_open(key, AT, str_head(in, n), &r, &meta, &body));
	for (size_t bit = 0; bit < 8 * (RECORD_HEAD + 11); bit++) {
		space[bit / 8] ^= (char)(1 << bit % 8);
		assert_false(record_open(key, AT, in, &r, &meta, &body));
		assert_int_equal(meta.n + body.n, 0);
		space[bit / 8] ^= (char)(1 << bit % 8);
	}
	assert_true(record_open(key, AT, in, &r, &meta, &body));
}

static void
test_record_lengths_do_not_overflow(void **state)
{
	(void)state;
	char space[RECORD_HEAD + 64];
	struct str in = make_record(space);
	struct record r;
	struct str meta, body;
	memset(space + 32, 0xff, 8); /* both lengths */
	assert_false(record_open(key, AT, in, &r, &meta, &body));
	assert_true(record_span(UINT32_MAX, UINT32_MAX) > UINT32_MAX);
}

static void
test_segment(void **state)
{
	(void)state;
	const struct segment_head h = { .use = SEGMENT_USE_LIVE,
		.number = 7,
		.epoch = 99,
		.first_sequence = 1234,
		.last_id = 5678 };
	char block[RECORD_BLOCK];
	struct segment_head got;
	struct str in = { block, sizeof(block) };
	segment_seal(key, &h, block);
	assert_true(segment_open(key, in, &got));
	assert_true(got.use == h.use && got.number == 7 && got.epoch == 99 &&
		    got.first_sequence == 1234 && got.last_id == 5678);
	assert_false(segment_open(other_key, in, &got));
	for (size_t bit = 0; bit < 8 * (size_t)RECORD_HEAD; bit++) {
		block[bit / 8] ^= (char)(1 << bit % 8);
		assert_false(segment_open(key, in, &got));
		block[bit / 8] ^= (char)(1 << bit % 8);
	}
	for (size_t n = 0; n < RECORD_HEAD; n++)
		assert_false(segment_open(key, str_head(in, n), &got));
}

/* ---- envelopes ---- */

static struct str
make_envelope(
    struct buf *b, struct str sender, const char *const *rcpts, uint32_t count)
{
	const struct envelope e = { .flags = ENVELOPE_8BIT,
		.birth = 1700000000,
		.sender = sender,
		.sid = STR("sid-1"),
		.finishes = 77,
		.finished = STR("\0\0\0\1\0\0\2\0"),
		.recipients = { .count = count } };
	envelope_put_head(b, &e);
	for (uint32_t i = 0; i < count; i++)
		packet_str(b, str_of(rcpts[i]));
	return buf_str(b);
}

static void
test_envelope_round_trip(void **state)
{
	(void)state;
	static const char *const rcpts[] = { "a@b.c", "d@e.f" };
	char space[SPACE];
	struct buf b = BUF_ON(space);
	struct str in = make_envelope(&b, STR("x@y.z"), rcpts, 2);
	struct envelope e;
	struct str address;
	assert_true(envelope_open(in, &e));
	assert_int_equal(e.flags, ENVELOPE_8BIT);
	assert_int_equal(e.birth, 1700000000);
	assert_true(str_eq(e.sender, STR("x@y.z")));
	assert_true(str_eq(e.sid, STR("sid-1")));
	assert_int_equal(e.finishes, 77);
	assert_int_equal(e.finished.n, 8);
	assert_int_equal(envelope_finished(&e, 0), 1);
	assert_int_equal(envelope_finished(&e, 1), 512);
	assert_true(strings_next(&e.recipients, &address));
	assert_true(str_eq(address, STR("a@b.c")));
	assert_true(strings_next(&e.recipients, &address));
	assert_true(str_eq(address, STR("d@e.f")));
	assert_false(strings_next(&e.recipients, &address));
	for (size_t n = 0; n < in.n; n++)
		assert_false(envelope_open(str_head(in, n), &e));
}

static void
test_envelope_refuses(void **state)
{
	(void)state;
	static const char *const bad[] = { "", "a", "@b", "a@", "a@b\n",
		"\x80@b.c", "a\x7f@b" };
	struct envelope e;
	for (size_t i = 0; i < N_ELEMENTS(bad); i++) {
		char space[SPACE];
		struct buf b = BUF_ON(space);
		assert_false(envelope_recipient_ok(str_of(bad[i])));
		assert_false(envelope_open(
		    make_envelope(&b, STR("x@y.z"), bad + i, 1), &e));
	}
	char space[SPACE];
	struct buf b = BUF_ON(space);
	assert_false(envelope_open(make_envelope(&b, STR(""), NULL, 0), &e));
	assert_true(envelope_sender_ok(STR("")));
	assert_true(envelope_sender_ok(STR("#@[]")));
	assert_false(envelope_sender_ok(STR("a\r@b")));
}

static void
test_marks(void **state)
{
	(void)state;
	char space[SPACE];
	struct buf b = BUF_ON(space);
	for (uint32_t i = 0; i < 3; i++)
		mark_put(&b,
		    &(struct mark){
			.id = UINT64_MAX - i, .idx = i << 24, .verdict = 'K' });
	struct str rest = str_head(buf_str(&b), b.n - 1);
	struct mark m;
	for (uint32_t i = 0; i < 2; i++) {
		assert_true(mark_next(&rest, &m));
		assert_true(m.id == UINT64_MAX - i && m.idx == i << 24 &&
			    m.verdict == 'K');
	}
	assert_false(mark_next(&rest, &m));
}

static void
test_replacement(void **state)
{
	(void)state;
	static const struct {
		uint32_t idx, first, count;
		bool ok;
	} table[] = { { 0, 1, 2, true }, { 4, 5, 2, true }, { 5, 5, 2, false },
		{ 0, 1, 3, false }, { 0, 1, 1, false }, { 0, 0, 2, false },
		{ 0, ENVELOPE_RECIPIENTS - 2, 2, true },
		{ 0, ENVELOPE_RECIPIENTS - 1, 2, false },
		{ 0, UINT32_MAX, 2, false } };
	for (size_t i = 0; i < N_ELEMENTS(table); i++) {
		char space[SPACE];
		struct buf b = BUF_ON(space);
		const struct replacement r = { .idx = table[i].idx,
			.first = table[i].first,
			.by = { .count = table[i].count } };
		struct replacement got;
		replacement_put_head(&b, &r);
		packet_str(&b, STR("a@b.c"));
		packet_str(&b, STR("d@e.f"));
		assert_int_equal(
		    replacement_open(buf_str(&b), &got), table[i].ok);
		for (size_t n = 0; table[i].ok && n < b.n; n++)
			assert_false(
			    replacement_open(str_head(buf_str(&b), n), &got));
	}
}

/* ---- files ---- */

static void
test_mess_names(void **state)
{
	(void)state;
	char name[MESS_NAME];
	uint64_t id;
	mess_name(0x0123456789abcdef, name);
	assert_string_equal(name, "mess/9a/0123456789abcdef");
	assert_true(mess_id(str_of(name + 8), &id));
	assert_true(id == 0x0123456789abcdef);
	assert_false(mess_id(STR("0123456789abcde"), &id));
	assert_false(mess_id(STR("0123456789ABCDEF"), &id));
	assert_false(mess_id(STR("0000000000000000"), &id));
	assert_false(mess_id(STR("tmp"), &id));
}

static bool
body_ok(const struct mess_head *h, struct str body)
{
	struct mess_sum s;
	mess_sum_begin(&s, key, h->nonce);
	mess_sum_add(&s, body);
	return mess_sum_ok(&s, h);
}

static void
test_mess_head(void **state)
{
	(void)state;
	struct mess_head h = { .id = 5, .nonce = 6, .body_n = 3 };
	char head[MESS_BODY_AT];
	struct mess_head got;
	struct mess_sum sum;
	mess_sum_begin(&sum, key, h.nonce);
	mess_sum_add(&sum, STR("b"));
	mess_sum_add(&sum, STR("od"));
	h.body_tag = mess_sum_end(&sum);
	mess_head_seal(key, &h, head);
	struct str in = { head, sizeof(head) };
	assert_true(mess_head_open(key, in, &got));
	assert_true(got.id == 5 && got.nonce == 6 && got.body_n == 3);
	assert_int_equal(mess_entries_at(&got), 72);
	assert_true(body_ok(&got, STR("bod")));
	assert_false(body_ok(&got, STR("boe")));
	assert_false(body_ok(&got, STR("bo")));
	assert_false(mess_head_open(other_key, in, &got));
	for (size_t bit = 0; bit < 8 * sizeof(head); bit++) {
		head[bit / 8] ^= (char)(1 << bit % 8);
		assert_false(mess_head_open(key, in, &got));
		head[bit / 8] ^= (char)(1 << bit % 8);
	}
}

static void
test_mess_entries(void **state)
{
	(void)state;
	char space[64];
	enum mess_entry type;
	struct str content;
	const struct mark hold = { .idx = MARK_MESSAGE, .verdict = 'H' };
	const struct mark done = { .idx = 0, .verdict = 'K' };
	assert_true(mark_is_hold(&hold) && !mark_is_hold(&done));
	mess_entry_seal(key, 9, 72, MESS_HOLD, STR("H"), space);
	memcpy(space + MESS_ENTRY_HEAD, "H", 2);
	assert_true(mess_entry_open(key, 9, 72,
	    (struct str){ space, (size_t)mess_entry_span(1) }, &type,
	    &content));
	assert_true(type == MESS_HOLD && str_eq(content, STR("H")));
	mess_entry_seal(key, 9, 72, MESS_STATE, STR("\5"), space);
	memcpy(space + MESS_ENTRY_HEAD, "\5", 2);
	struct str in = { space, (size_t)mess_entry_span(1) };
	assert_int_equal(in.n, 40);
	assert_true(mess_entry_open(key, 9, 72, in, &type, &content));
	assert_true(type == MESS_STATE && str_eq(content, STR("\5")));
	assert_false(mess_entry_open(key, 9, 80, in, &type, &content));
	assert_false(mess_entry_open(key, 8, 72, in, &type, &content));
	for (size_t n = 0; n <= MESS_ENTRY_HEAD; n++)
		assert_false(mess_entry_open(
		    key, 9, 72, str_head(in, n), &type, &content));
	for (size_t bit = 0; bit < 8 * (MESS_ENTRY_HEAD + 1); bit++) {
		space[bit / 8] ^= (char)(1 << bit % 8);
		assert_false(mess_entry_open(key, 9, 72, in, &type, &content));
		space[bit / 8] ^= (char)(1 << bit % 8);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record_round_trip),
		cmocka_unit_test(test_record_elsewhere_is_none),
		cmocka_unit_test(test_record_every_cut_and_bit),
		cmocka_unit_test(test_record_lengths_do_not_overflow),
		cmocka_unit_test(test_segment),
		cmocka_unit_test(test_envelope_round_trip),
		cmocka_unit_test(test_envelope_refuses),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_replacement),
		cmocka_unit_test(test_mess_names),
		cmocka_unit_test(test_mess_head),
		cmocka_unit_test(test_mess_entries),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
