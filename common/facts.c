/* SPDX-License-Identifier: ISC
 * facts: contract in facts.h.  Pure.
 */
#include "common/facts.h"

bool
facts_take(struct packet *p, struct facts *f)
{
	f->sid = packet_get_str(p, LIMIT_SID);
	f->peer_ip = packet_get_str(p, LIMIT_PEER);
	f->relay = packet_get_u8(p) == 1;
	return packet_end(p);
}

void
facts_put(struct buf *b, const struct facts *f)
{
	packet_str(b, f->sid);
	packet_str(b, f->peer_ip);
	packet_u8(b, f->relay ? 1 : 0);
}

void
facts_put_sid(struct buf *b, const char *prefix, uid_t uid, uint64_t number)
{
	enum { NUMBERS = 1000000 };

	buf_puts(b, prefix);
	buf_put_u64(b, uid);
	buf_putc(b, '-');
	buf_put_u64(b, number % NUMBERS);
}
