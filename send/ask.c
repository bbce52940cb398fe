/* SPDX-License-Identifier: ISC
 * ask: contract in ask.h.  Runs as whoever called postern-remote.
 */
#include "send/ask.h"

#include <sys/socket.h>
#include "common/clock.h"
#include "common/io.h"
#include "dns/byhand.h"

enum { ANSWERS_MS = 90 * 1000 };

static int dnsd_fd = -1;

int
ask_start(bool verbose)
{
	dnsd_fd = byhand_start(verbose);
	return dnsd_fd < 0 ? -1 : 0;
}

static bool
ask_one(const struct walk_question *q)
{
	char storage[512];
	struct buf packet = BUF_ON(storage);

	packet_begin(&packet, 'Q');
	packet_u32(&packet, q->number);
	packet_u32(&packet, q->type);
	packet_str(&packet, q->name);
	return packet_send(dnsd_fd, buf_str(&packet), NULL, 0) == 0;
}

static bool
take_one(struct walk *w, int64_t deadline)
{
	static char storage[PACKET_MAX];
	int fds[PACKET_FDS];
	size_t nfds = 0;
	struct str bytes;
	int64_t left = deadline - clock_mono_ms();

	if (left <= 0 || io_wait(dnsd_fd, false, (int)left) <= 0 ||
	    packet_recv(dnsd_fd, storage, sizeof(storage), MSG_DONTWAIT, &bytes,
		fds, &nfds) <= 0)
		return false;
	packet_close_fds(fds, nfds);
	struct packet p = packet_open(bytes);
	uint32_t number = packet_get_u32(&p);
	if (p.bad || p.type != 'A')
		return false;
	walk_answer(w, number, &p);
	return true;
}

void
ask_all(struct walk *w)
{
	int64_t deadline = clock_mono_ms() + ANSWERS_MS;
	struct walk_question q;
	unsigned open = 0;
	bool alive = true;

	while (alive && walk_question(w, &q)) {
		alive = ask_one(&q);
		open++;
	}
	for (; alive && open > 0; open--)
		alive = take_one(w, deadline);
	if (!alive)
		walk_end(w, VERDICT_DEFER, STR("4.4.3 no DNS answer in time"));
}
