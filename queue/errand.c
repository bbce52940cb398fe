/* SPDX-License-Identifier: ISC
 * errand: contract in errand.h.
 */
#include "queue/errand.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include "common/die.h"
#include "common/loop.h"
#include "queue/settle.h"

enum { OUTSTANDING = 512 /* requests that a settle may have */ };

static struct helper {
	struct watch watch;
	unsigned outstanding;
} helpers[SETTLE_PROCESSES];
static void (*on_answered)(char type, uint64_t id, int error);

/* ---- requests ---- */

static bool
ask_one(struct helper *h, const struct buf *b)
{
	if (b->full)
		bug("a request to settle is too long");
	if (packet_send(h->watch.fd, buf_str(b), NULL, 0) < 0) {
		if (errno != EAGAIN)
			die(EXITCODE_TEMPORARY, "settle is gone", errno);
		return false; /* again when it has answered something */
	}
	h->outstanding++;
	return true;
}

static bool
ask(const struct buf *b)
{
	return ask_one(&helpers[SETTLE_TENDS], b);
}

bool
errand_simple(char type, uint64_t a, uint64_t b)
{
	char text[32];
	struct buf p = BUF_ON(text);
	packet_begin(&p, type);
	packet_u64(&p, a);
	packet_u64(&p, b);
	return ask(&p);
}

bool
errand_publish(const struct draft *d)
{
	char text[64];
	struct buf p = BUF_ON(text);
	struct helper *least = &helpers[SETTLE_TENDS + 1];
	for (size_t i = SETTLE_TENDS + 2; i < SETTLE_PROCESSES; i++)
		if (helpers[i].outstanding < least->outstanding)
			least = &helpers[i];
	packet_begin(&p, SETTLE_PUBLISH);
	packet_u64(&p, d->id);
	packet_u64(&p, d->temporary);
	packet_u64(&p, d->size);
	packet_u64(&p, d->nonce);
	return least->outstanding < OUTSTANDING && ask_one(least, &p);
}

static void
put_state(struct buf *p, const struct ledger_entry *e)
{
	char state[ENVELOPE_RECIPIENTS / 8];
	struct str s = { .p = state, .n = ledger_state_n(e) };
	ledger_state(e, state);
	packet_str(p, s);
	packet_u8(p, (e->flags & LEDGER_WAS_PARKED) == 0 ? '\0'
		     : (e->flags & LEDGER_PARKED) != 0	 ? 'H'
							 : 'R');
}

/* Puts a count, and as many extras from *x on as fit. */
static uint32_t
put_extras(struct buf *p, const struct ledger_extra **x)
{
	uint32_t count = 0;
	size_t room = buf_room(p) - sizeof(count);
	const struct ledger_extra *end = *x;
	for (; end != NULL && end->n + sizeof(count) <= room; end = end->next) {
		room -= end->n + sizeof(count);
		count++;
	}
	packet_u32(p, count);
	for (; *x != end; *x = (*x)->next)
		packet_str(p, (struct str){ .p = (*x)->content, .n = (*x)->n });
	return count;
}

bool
errand_append(struct ledger_entry *e, const struct ledger_extra *x)
{
	static char space[PACKET_MAX];
	do {
		struct buf p = BUF_ON(space);
		packet_begin(&p, SETTLE_APPEND);
		packet_u64(&p, e->id);
		put_state(&p, e);
		e->extras_sent += put_extras(&p, &x);
		if (!ask(&p))
			return false;
		e->ops++;
	} while (x != NULL);
	return true;
}

bool
errand_make(struct ledger_entry *e, const struct segment *seg, uint32_t file)
{
	static char space[PACKET_MAX];
	struct buf p = BUF_ON(space);
	const struct ledger_extra *x = e->extra;
	packet_begin(&p, SETTLE_MAKE);
	packet_u64(&p, e->id);
	packet_u32(&p, file);
	packet_u64(&p, seg->epoch);
	packet_u32(&p, e->offset);
	packet_u32(&p, e->meta_n);
	packet_u32(&p, e->body_n);
	put_state(&p, e);
	uint32_t count = put_extras(&p, &x);
	if (!ask(&p))
		return false;
	e->extras_sent = count;
	e->ops++;
	e->flags |= LEDGER_NAMED;
	if (x != NULL && !errand_append(e, x))
		e->flags |= LEDGER_BROKEN; /* made anew, later */
	return true;
}

bool
errand_may_ask(void)
{
	return helpers[SETTLE_TENDS].outstanding < OUTSTANDING;
}

/* ---- answers ---- */

static void
on_answer(struct watch *w, uint32_t events)
{
	struct helper *h = w->arg;
	char space[64];
	(void)events;
	for (unsigned i = 0; i < OUTSTANDING; i++) {
		struct str bytes;
		int fds[PACKET_FDS];
		size_t nfds;
		int n = packet_recv(w->fd, space, sizeof(space), MSG_DONTWAIT,
		    &bytes, fds, &nfds);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0)
			die(EXITCODE_TEMPORARY, "settle is gone",
			    n < 0 ? errno : 0);
		packet_close_fds(fds, nfds);
		struct packet p = packet_open(bytes);
		char type = (char)packet_get_u8(&p);
		uint64_t id = packet_get_u64(&p);
		int error = (int)packet_get_u32(&p);
		if (!packet_end(&p) || p.type != 'K' || h->outstanding == 0)
			bug("settle answered nonsense");
		h->outstanding--;
		on_answered(type, id, error);
	}
}

void
errand_init(const int fds[SETTLE_PROCESSES],
    void (*answered)(char type, uint64_t id, int error))
{
	on_answered = answered;
	for (size_t i = 0; i < SETTLE_PROCESSES; i++) {
		struct helper *h = &helpers[i];
		h->watch = (struct watch){
			.fd = fds[i], .ready = on_answer, .arg = h
		};
		if (loop_add(&h->watch, EPOLLIN) < 0)
			die(EXITCODE_TEMPORARY, "epoll", errno);
	}
}
