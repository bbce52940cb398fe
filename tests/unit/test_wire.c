/* SPDX-License-Identifier: ISC
 * Unit tests of common/frame and packet: every cut, every length, descriptors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/frame.h"
#include "common/io.h"
#include "common/packet.h"

static void
test_frame_cuts(void **state)
{
	(void)state;
	char text[64];
	struct buf b = BUF_ON(text);
	frame_put(&b, 'F', STR("alice@crepes.fr"));
	assert_true(str_eq(buf_str(&b), STR("16:Falice@crepes.fr,")));
	char type;
	struct str payload;
	size_t used;
	for (size_t n = 0; n < b.n; n++)
		assert_int_equal(frame_next(str_head(buf_str(&b), n), 16, &type,
				     &payload, &used),
		    FRAME_MORE);
	assert_int_equal(
	    frame_next(buf_str(&b), 16, &type, &payload, &used), FRAME_OK);
	assert_int_equal(type, 'F');
	assert_true(str_eq(payload, STR("alice@crepes.fr")));
	assert_int_equal(used, b.n);
	assert_int_equal(
	    frame_next(buf_str(&b), 15, &type, &payload, &used), FRAME_BAD);
}

static void
test_frame_bad(void **state)
{
	(void)state;
	static const char *const cases[] = { "0:,", "01:C,", ":C,", "x", "1:CC",
		"1;C,", "9999999999:", "-1:C,", " 1:C,", "17:" };
	for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
		char type;
		struct str payload;
		size_t used;
		assert_int_equal(
		    frame_next(str_of(cases[i]), 16, &type, &payload, &used),
		    FRAME_BAD);
	}
	char small[8];
	struct buf b = BUF_ON(small);
	buf_putc(&b, 'x');
	frame_put(&b, 'T', STR("longer"));
	assert_true(b.full);
	assert_int_equal(b.n, 1); /* nothing of the frame is left */
}

static void
put_sample(struct buf *b)
{
	packet_begin(b, 'N');
	packet_u8(b, 0xfe);
	packet_u32(b, 0xfedcba98);
	packet_u64(b, 0x0123456789abcdef);
	packet_str(b, STR("a\0b"));
	packet_str(b, STR(""));
}

static void
test_packet_cuts(void **state)
{
	(void)state;
	char text[64];
	struct buf b = BUF_ON(text);
	put_sample(&b);
	for (size_t n = 0; n <= b.n; n++) {
		struct packet p = packet_open(str_head(buf_str(&b), n));
		bool whole = n == b.n;
		assert_int_equal(packet_get_u8(&p), n > 1 ? 0xfe : 0);
		uint32_t v32 = packet_get_u32(&p);
		uint64_t v64 = packet_get_u64(&p);
		struct str s = packet_get_str(&p, 3);
		struct str empty = packet_get_str(&p, 0);
		assert_int_equal(packet_end(&p), whole);
		assert_int_equal(empty.n, 0);
		if (!whole)
			continue;
		assert_int_equal(p.type, 'N');
		assert_int_equal(v32, 0xfedcba98);
		assert_int_equal(v64, 0x0123456789abcdef);
		assert_true(str_eq(s, STR("a\0b")));
	}
	struct packet over = packet_open(buf_str(&b));
	packet_get_u8(&over);
	packet_get_u32(&over);
	packet_get_u64(&over);
	packet_get_str(&over, 2);
	assert_true(over.bad);
}

static void
test_packet_sockets(void **state)
{
	(void)state;
	int pair[2];
	int pipe_fds[2];
	assert_int_equal(io_pair(SOCK_SEQPACKET, pair), 0);
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	assert_int_equal(packet_send(pair[0], STR("Lx"), pipe_fds, 2), 0);
	char storage[4];
	struct str bytes;
	int fds[PACKET_FDS];
	size_t nfds;
	assert_int_equal(packet_recv(pair[1], storage, sizeof(storage), 0,
			     &bytes, fds, &nfds),
	    1);
	assert_true(str_eq(bytes, STR("Lx")));
	assert_int_equal(nfds, 2);
	assert_int_equal(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
	assert_int_equal(write(fds[1], "!", 1), 1);
	char c;
	assert_int_equal(read(pipe_fds[0], &c, 1), 1);
	packet_close_fds(fds, nfds);
	assert_int_equal(fds[0], -1);
	/* too large: consumed, its descriptors closed, the next one is whole */
	assert_int_equal(packet_send(pair[0], STR("12345"), pipe_fds, 1), 0);
	assert_int_equal(packet_send(pair[0], STR("1234"), NULL, 0), 0);
	int before = dup(0);
	close(before);
	assert_int_equal(packet_recv(pair[1], storage, sizeof(storage), 0,
			     &bytes, fds, &nfds),
	    -1);
	assert_int_equal(errno, EMSGSIZE);
	int after = dup(0);
	close(after);
	assert_int_equal(before, after);
	assert_int_equal(packet_recv(pair[1], storage, sizeof(storage),
			     MSG_DONTWAIT, &bytes, fds, &nfds),
	    1);
	assert_int_equal(packet_recv(pair[1], storage, sizeof(storage),
			     MSG_DONTWAIT, &bytes, fds, &nfds),
	    -1);
	assert_int_equal(errno, EAGAIN);
	close(pair[0]);
	assert_int_equal(packet_recv(pair[1], storage, sizeof(storage), 0,
			     &bytes, fds, &nfds),
	    0);
	close(pair[1]);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* What a peer said last is read, though it ended with packets unread. */
static void
test_packet_last_words(void **state)
{
	(void)state;
	int pair[2];
	char storage[16];
	struct str bytes;
	int fds[PACKET_FDS];
	size_t nfds;
	assert_int_equal(io_pair(SOCK_SEQPACKET, pair), 0);
	assert_int_equal(packet_send(pair[0], STR("J"), NULL, 0), 0);
	assert_int_equal(packet_send(pair[1], STR("R"), NULL, 0), 0);
	assert_int_equal(packet_send(pair[1], STR("F"), NULL, 0), 0);
	close(pair[1]);
	static const char *const said[] = { "R", "F" };
	for (size_t i = 0; i < N_ELEMENTS(said); i++) {
		assert_int_equal(packet_recv(pair[0], storage, sizeof(storage),
				     MSG_DONTWAIT, &bytes, fds, &nfds),
		    1);
		assert_true(str_eq(bytes, str_of(said[i])));
	}
	assert_int_equal(packet_recv(pair[0], storage, sizeof(storage),
			     MSG_DONTWAIT, &bytes, fds, &nfds),
	    0);
	close(pair[0]);
}

static void
test_packet_ask(void **state)
{
	(void)state;
	int pair[2];
	char storage[16];
	struct str answer;
	assert_int_equal(io_pair(SOCK_SEQPACKET, pair), 0);
	assert_int_equal(packet_ask(pair[0], STR("R?"), NULL, 0, storage,
			     sizeof(storage), 1, &answer),
	    -1);
	assert_int_equal(errno, ETIMEDOUT);
	assert_int_equal(packet_send(pair[1], STR("K"), NULL, 0), 0);
	assert_int_equal(packet_ask(pair[0], STR("R?"), NULL, 0, storage,
			     sizeof(storage), 1000, &answer),
	    1);
	assert_true(str_eq(answer, STR("K")));
	close(pair[1]);
	assert_int_equal(packet_ask(pair[0], STR("R?"), NULL, 0, storage,
			     sizeof(storage), 1000, &answer),
	    -1);
	assert_int_equal(errno, EPIPE);
	close(pair[0]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame_cuts),
		cmocka_unit_test(test_frame_bad),
		cmocka_unit_test(test_packet_cuts),
		cmocka_unit_test(test_packet_sockets),
		cmocka_unit_test(test_packet_last_words),
		cmocka_unit_test(test_packet_ask),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
