/* SPDX-License-Identifier: ISC
 * Unit tests of pop3d/wire: line ends of every kind, dots, TOP, and octets that
 * are the bytes sent, however input and output are cut.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "pop3d/wire.h"

enum { OUT_MAX = 4096, WHOLE = 1 << 20 };

/* Sends `in`, fed in pieces of `step` bytes, through a buffer of `room`. */
static void
send_all(
    struct wire *w, struct str in, size_t step, size_t room, struct buf *all)
{
	static char text[OUT_MAX];
	struct buf out = { .p = text, .n = 0, .cap = room, .full = false };

	for (size_t at = 0; at < in.n; at += step) {
		struct str piece = str_head(str_skip(in, at), step);
		while (piece.n > 0) {
			size_t used = wire_feed(w, piece, &out);
			assert_true(used <= piece.n);
			piece = str_skip(piece, used);
			if (buf_room(&out) < WIRE_ROOM) {
				buf_put(all, buf_str(&out));
				buf_reset(&out);
			}
		}
	}
	if (buf_room(&out) < WIRE_ROOM) {
		buf_put(all, buf_str(&out));
		buf_reset(&out);
	}
	wire_end(w, &out);
	assert_false(out.full);
	buf_put(all, buf_str(&out));
	assert_false(all->full);
}

/* Octets of a whole reply as the client counts them: dots undone. */
static uint64_t
octets_received(struct str reply)
{
	uint64_t n = 0;
	bool line_start = true;

	assert_true(str_ends(reply, STR(".\r\n")));
	reply.n -= 3;
	for (size_t i = 0; i < reply.n; i++) {
		n += !(line_start && reply.p[i] == '.');
		line_start = reply.p[i] == '\n';
	}
	return n;
}

#define LIT(text)                                                              \
	{                                                                      \
		text, sizeof(text) - 1                                         \
	}

static const struct {
	struct str file, sent;
} cases[] = {
	{ LIT(""), LIT(".\r\n") },
	{ LIT("a"), LIT("a\r\n.\r\n") },
	{ LIT("a\n"), LIT("a\r\n.\r\n") },
	{ LIT("a\r\n"), LIT("a\r\n.\r\n") },
	{ LIT("a\r"), LIT("a\r\r\n.\r\n") },
	{ LIT("a\r\r\n"), LIT("a\r\r\n.\r\n") },
	{ LIT("a\rb\n"), LIT("a\rb\r\n.\r\n") },
	{ LIT("\n"), LIT("\r\n.\r\n") },
	{ LIT("\r\n"), LIT("\r\n.\r\n") },
	{ LIT("\r"), LIT("\r\r\n.\r\n") },
	{ LIT("\n\r"), LIT("\r\n\r\r\n.\r\n") },
	{ LIT("."), LIT("..\r\n.\r\n") },
	{ LIT(".\n"), LIT("..\r\n.\r\n") },
	{ LIT(".\r\n"), LIT("..\r\n.\r\n") },
	{ LIT("..\n"), LIT("...\r\n.\r\n") },
	{ LIT("a.\n.b\n"), LIT("a.\r\n..b\r\n.\r\n") },
	{ LIT("a\r.\nb"), LIT("a\r.\r\nb\r\n.\r\n") },
	{ LIT("a\nb\r\nc\rd\n\n.\n"),
	    LIT("a\r\nb\r\nc\rd\r\n\r\n..\r\n.\r\n") },
	{ LIT("\0\xff\0\n"), LIT("\0\xff\0\r\n.\r\n") },
	{ LIT("\n.\n.\n"), LIT("\r\n..\r\n..\r\n.\r\n") },
};

static void
sends_any_line_end(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		for (size_t step = 1; step <= cases[i].file.n + 1; step++) {
			for (size_t room = WIRE_ROOM; room < 32; room++) {
				char text[OUT_MAX];
				struct buf all = BUF_ON(text);
				struct wire w = wire_begin();
				send_all(&w, cases[i].file, step, room, &all);
				if (!str_eq(buf_str(&all), cases[i].sent))
					fail_msg("case %zu step %zu", i, step);
				assert_int_equal(
				    w.octets, octets_received(cases[i].sent));
			}
		}
	}
}

static void
measures_what_it_sends(void **state)
{
	(void)state;
	/* all files of up to 7 bytes over the bytes that matter */
	static const char alphabet[] = { 'a', '.', '\r', '\n' };
	for (unsigned n = 0; n <= 7; n++) {
		for (unsigned code = 0; code < 1U << (2 * n); code++) {
			char file[8], text[64];
			for (unsigned k = 0; k < n; k++)
				file[k] = alphabet[code >> (2 * k) & 3];
			struct str in = { .p = file, .n = n };
			struct buf all = BUF_ON(text);
			struct wire w = wire_begin();
			send_all(&w, in, WHOLE, 64, &all);
			assert_int_equal(
			    w.octets, octets_received(buf_str(&all)));
			for (size_t cut = 0; cut <= n; cut++) {
				struct wire m = wire_begin();
				wire_measure(&m, str_head(in, cut));
				wire_measure(&m, str_skip(in, cut));
				assert_int_equal(wire_octets(&m), w.octets);
			}
		}
	}
}

static const struct {
	const char *file;
	uint64_t lines;
	const char *sent;
} tops[] = {
	{ "S: x\n\none\ntwo\n", 0, "S: x\r\n\r\n.\r\n" },
	{ "S: x\n\none\ntwo\n", 1, "S: x\r\n\r\none\r\n.\r\n" },
	{ "S: x\n\none\ntwo\n", 2, "S: x\r\n\r\none\r\ntwo\r\n.\r\n" },
	{ "S: x\n\none\ntwo\n", 99, "S: x\r\n\r\none\r\ntwo\r\n.\r\n" },
	{ "S: x\r\n\r\none\r\ntwo", 2, "S: x\r\n\r\none\r\ntwo\r\n.\r\n" },
	{ "S: x\r\n\r\n\r\n.two\r\n", 2, "S: x\r\n\r\n\r\n..two\r\n.\r\n" },
	{ "S: x\n\r\r\n\none\n", 0, "S: x\r\n\r\r\n\r\n.\r\n" },
	{ "S: x", 3, "S: x\r\n.\r\n" },
	{ "\nbody\n", 0, "\r\n.\r\n" },
	{ "", 5, ".\r\n" },
};

static void
top_stops_in_time(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_ELEMENTS(tops); i++) {
		struct str in = str_of(tops[i].file);
		for (size_t step = 1; step <= in.n + 1; step++) {
			char text[OUT_MAX];
			struct buf all = BUF_ON(text);
			struct wire w = wire_begin_top(tops[i].lines);
			send_all(&w, in, step, WIRE_ROOM + step, &all);
			if (!str_eq(buf_str(&all), str_of(tops[i].sent)))
				fail_msg("top %zu step %zu", i, step);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sends_any_line_end),
		cmocka_unit_test(measures_what_it_sends),
		cmocka_unit_test(top_stops_in_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
