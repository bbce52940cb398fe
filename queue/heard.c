/* SPDX-License-Identifier: ISC
 * heard: contract in heard.h.
 */
#include "queue/heard.h"

#include "common/log.h"
#include "queue/change.h"
#include "queue/found.h"
#include "queue/replies.h"
#include "queue/teller.h"

static struct spool *spool;

void
heard_init(struct spool *s)
{
	spool = s;
}

static bool
on_marks(struct packet *p, unsigned link)
{
	uint32_t count = packet_get_u32(p);
	struct mark m;
	if (p->bad || p->rest.n != (size_t)count * ENVELOPE_MARK)
		return false;
	while (mark_next(&p->rest, &m)) {
		uint32_t slot = found_slot(spool, m.id);
		bool hold = mark_is_hold(&m);
		if (!hold && m.verdict != 'K' && m.verdict != 'D')
			return false;
		if (slot == LEDGER_NONE ||
		    (!hold &&
			ledger_is_done(ledger_at(&spool->ledger, slot), m.idx)))
			teller_marked(m.id, m.idx, link);
		else if (!change_mark(&m, link))
			LOG(ERROR, "no-memory", F_ID(m.id));
	}
	return true;
}

static bool
on_replace(struct packet *p, unsigned link)
{
	uint64_t id = packet_get_u64(p);
	uint32_t idx = packet_get_u32(p);
	struct strings by = { .count = packet_get_u32(p) };
	by.bytes = p->rest;
	for (uint32_t i = 0; i < by.count && !p->bad; i++)
		if (!envelope_recipient_ok(packet_get_str(p, LIMIT_ADDRESS)))
			p->bad = true;
	if (!packet_end(p) || by.count == 0)
		return false;
	if (!change_replace(id, idx, &by, link))
		teller_replaced(
		    id, idx, 'Z', (struct str){ .p = "", .n = 0 }, link);
	return true;
}

static bool
on_open(struct packet *p)
{
	uint64_t id = packet_get_u64(p);
	if (!packet_end(p))
		return false;
	if (!replies_want_body(id))
		LOG(ERROR, "no-memory", F_ID(id));
	return true;
}

static bool
on_settle(struct packet *p)
{
	uint64_t bound = packet_get_u64(p);
	if (!packet_end(p))
		return false;
	replies_want_settled(bound);
	return true;
}

bool
heard_packet(struct packet *p, unsigned link)
{
	switch (p->type) {
	case 'M':
		return on_marks(p, link);
	case 'W':
		return on_replace(p, link);
	case 'O':
		return on_open(p);
	case 'S':
		return on_settle(p);
	default:
		return false;
	}
}
