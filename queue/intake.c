/* SPDX-License-Identifier: ISC
 * intake: contract in intake.h.
 */
#include "queue/intake.h"

#include "common/limits.h"
#include "common/log.h"
#include "queue/names.h"
#include "queue/noteflags.h"

enum { RCPT_CAP = 16 * 1024 * 1024 }; /* about 2 GiB: more is not taken in */

static bool overflow;

bool
intake_has_room_again(void)
{
	return overflow && index_rcpts() < RCPT_CAP / 2;
}

void
message_flag(struct message *m, unsigned flag, bool on)
{
	m->flags = (uint8_t)((m->flags & ~flag) | (on ? flag : 0));
}

/* False: queued tells more of them than there can be. */
static bool
add_rcpt(uint32_t message, uint32_t idx, struct str address)
{
	const struct work *w = message_working(message);
	uint32_t rcpt = index_add_rcpt(message, idx, address);
	if (rcpt == 0)
		return false;
	struct rcpt *r = rcpt_at(rcpt);
	if (w != NULL && w->replacing > 0)
		r->depth = w->depth;
	if (delivery_is_open())
		delivery_start(rcpt);
	else /* an agent of the last run may have had it, and be gone too */
		r->flags |= RCPT_MAYBE;
	return true;
}

/* False: a bad packet. */
static bool
take_rcpts(struct packet *p, uint32_t message)
{
	uint32_t n = packet_get_u32(p);
	uint32_t hint = 0;
	bool empty = message_at(message)->first == 0;
	for (uint32_t i = 0; i < n && !p->bad; i++) {
		uint32_t idx = packet_get_u32(p);
		struct str address =
		    packet_get_str(p, (size_t)LIMIT_ADDRESS * 2);
		if (p->bad || address.n == 0)
			break;
		if (empty || index_find_rcpt(message, idx, &hint) == 0)
			p->bad = !add_rcpt(message, idx, address);
	}
	bool good = packet_end(p);
	delivery_settle(message);
	return good;
}

void
intake_body(
    uint32_t message, int *fd, uint64_t offset, uint64_t size, bool must)
{
	int body = *fd;
	*fd = -1;
	if (!delivery_body_keep(message, body, must))
		return;
	struct work *w = message_work(message);
	w->offset = offset;
	w->size = size;
}

bool
intake_note(struct packet *p, int *fds, size_t nfds, bool epoch)
{
	uint64_t id = packet_get_u64(p);
	uint64_t birth = packet_get_u64(p);
	uint64_t size = packet_get_u64(p);
	uint64_t offset = packet_get_u64(p);
	uint8_t flags = packet_get_u8(p);
	struct str sender = packet_get_str(p, (size_t)LIMIT_ADDRESS * 2);
	struct str sid = packet_get_str(p, (size_t)LIMIT_SID * 2);
	if (p->bad || id == 0 || birth == 0)
		return false;
	if (index_rcpts() >= RCPT_CAP) {
		if (!overflow)
			LOG(ERROR, "index-full",
			    F_NUM("recipients", index_rcpts()));
		overflow = true;
		return true;
	}
	uint32_t message = index_find(id);
	/* at a start the old ones are told first */
	if (message == 0 && delivery_is_open())
		delivery_count_arrival();
	if (message == 0)
		message = index_add(id, birth, size, sender,
		    (flags & NOTE_HELD) == 0 ? 0
					     : MESSAGE_HELD | MESSAGE_PARKED);
	struct message *m = message_at(message);
	message_flag(m, MESSAGE_EPOCH, epoch);
	message_flag(m, MESSAGE_MORE, (flags & NOTE_MORE) != 0);
	message_flag(m, MESSAGE_8BIT, (flags & NOTE_8BIT) != 0);
	if (nfds == 1 && delivery_is_open())
		intake_body(message, &fds[0], offset, size, false);
	if (sid.n > 0 && (m->work != 0 || delivery_is_open())) {
		struct work *w = message_work(message);
		names_drop(w->sid);
		w->sid = names_take(sid);
	}
	return take_rcpts(p, message);
}

bool
intake_more(struct packet *p)
{
	uint64_t id = packet_get_u64(p);
	uint8_t flags = packet_get_u8(p);
	uint32_t message = p->bad ? 0 : index_find(id);
	if (message == 0)
		return !p->bad && overflow;
	message_flag(
	    message_at(message), MESSAGE_MORE, (flags & NOTE_MORE) != 0);
	return take_rcpts(p, message);
}
