/* SPDX-License-Identifier: ISC
 * where: contract in where.h; the packets are in INTERNALS.md, "Ask: userd".
 */
#include "queue/where.h"

#include "common/limits.h"
#include "common/link.h"
#include "common/log.h"
#include "queue/names.h"

/* Questions out at a time: userd answers them in order. */
enum { WINDOW = 128 };

static void on_packet(struct link *, struct packet *, int *, size_t);
static void on_room(struct link *);
static void on_lost(struct link *);

static struct link userd = LINK_DOWN("userd", on_packet, on_room, on_lost);
static uint32_t asked[WINDOW]; /* a ring */
static uint32_t asked_first, asked_count;
static uint32_t backlog_first, backlog_last; /* by rcpt.link */

void
where_ask(uint32_t rcpt)
{
	rcpt_at(rcpt)->link = 0;
	if (backlog_last != 0)
		rcpt_at(backlog_last)->link = rcpt;
	else
		backlog_first = rcpt;
	backlog_last = rcpt;
}

/* Sends up to LINK_BATCH questions.  False: nothing to send, or no room. */
static bool
flush_some(void)
{
	static char space[LINK_BATCH][LIMIT_ADDRESS * 2 + 8];
	struct str packets[LINK_BATCH];
	size_t count = 0;
	uint32_t rcpt = backlog_first;
	while (
	    rcpt != 0 && count < LINK_BATCH && asked_count + count < WINDOW) {
		struct buf out = BUF_ON(space[count]);
		packet_begin(&out, 'W');
		packet_str(&out, names_str(rcpt_at(rcpt)->name));
		packets[count++] = buf_str(&out);
		rcpt = rcpt_at(rcpt)->link;
	}
	if (count == 0)
		return false;
	size_t sent = link_send_many(&userd, packets, count);
	for (size_t i = 0; i < sent; i++) {
		rcpt = backlog_first;
		backlog_first = rcpt_at(rcpt)->link;
		if (backlog_first == 0)
			backlog_last = 0;
		asked[(asked_first + asked_count++) % WINDOW] = rcpt;
	}
	return sent == count;
}

void
where_flush(void)
{
	if (!link_is_up(&userd))
		return;
	while (flush_some())
		;
}

static void
on_room(struct link *l)
{
	(void)l;
	where_flush();
}

static void
on_text(uint32_t rcpt, struct packet *p)
{
	struct str text = packet_get_str(p, LIMIT_REPORT);
	char verdict = p->type;
	if (!packet_end(p)) {
		verdict = 'Z';
		text = STR("4.3.0 broken answer about the recipient");
	}
	delivery_report(rcpt, verdict, text, STR(""), NULL);
}

static void
on_answer(uint32_t rcpt, struct packet *p)
{
	struct str first = { .p = "", .n = 0 };
	struct str second = first;
	if (p->type == 'D' || p->type == 'Z') {
		on_text(rcpt, p);
		return;
	}
	if (p->type == 'A') {
		uint32_t count = packet_get_u32(p);
		delivery_replace(rcpt, count, p, NULL);
		return;
	}
	if (p->type == 'V' || p->type == 'S') {
		first = packet_get_str(p, NAME_MAX_BYTES);
		second = packet_get_str(p, NAME_MAX_BYTES);
	}
	bool bad = !packet_end(p);
	if (!bad && p->type == 'V' && first.n > 0)
		delivery_local(rcpt, STR(""), first);
	else if (!bad && p->type == 'S' && first.n > 0)
		delivery_local(rcpt, first, second);
	else if (!bad && p->type == 'N')
		delivery_remote(rcpt);
	else
		delivery_report(rcpt, 'Z',
		    STR("4.3.0 broken answer about the recipient"), STR(""),
		    NULL);
}

static void
on_packet(struct link *l, struct packet *p, int *fds, size_t nfds)
{
	(void)fds;
	(void)nfds;
	if (asked_count == 0) {
		link_complain(l, p->type);
		return;
	}
	uint32_t rcpt = asked[asked_first];
	asked_first = (asked_first + 1) % WINDOW;
	asked_count--;
	on_answer(rcpt, p);
}

/* What was asked is asked again, first of all. */
static void
ask_again(void)
{
	while (asked_count > 0) {
		uint32_t rcpt = asked[(asked_first + --asked_count) % WINDOW];
		rcpt_at(rcpt)->link = backlog_first;
		backlog_first = rcpt;
		if (backlog_last == 0)
			backlog_last = rcpt;
	}
}

static void
on_lost(struct link *l)
{
	LOG(WARN, "link-lost", F_TEXT("peer", l->name));
	ask_again();
}

void
where_link(int fd)
{
	ask_again();
	(void)link_open(&userd, fd);
}
