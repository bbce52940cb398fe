/* SPDX-License-Identifier: ISC
 * answer: see answer.h.
 */
#include "dns/answer.h"

#include <string.h>
#include "common/address.h"
#include "common/packet.h"

enum {
	HEADER = 12,
	CLASS_IN = 1,
	RCODE_OK = 0,
	RCODE_NO_NAME = 3,
	JUMPS_MAX = 64,	    /* compression pointers in one name */
	TEXT_MAX = 4 * 1024 /* of a TXT record; longer ones are left out */
};

/* A cursor into the message with a sticky error. */
struct cursor {
	struct str message;
	size_t at;
	bool bad;
};

static unsigned
take_u8(struct cursor *c)
{
	if (c->bad || c->at >= c->message.n) {
		c->bad = true;
		return 0;
	}
	return (unsigned char)c->message.p[c->at++];
}

static unsigned
take_u16(struct cursor *c)
{
	unsigned high = take_u8(c);

	return high << 8 | take_u8(c);
}

static uint32_t
take_u32(struct cursor *c)
{
	uint32_t high = take_u16(c);

	return high << 16 | take_u16(c);
}

static struct str
take_bytes(struct cursor *c, size_t n)
{
	if (c->bad || c->message.n - c->at < n) {
		c->bad = true;
		return STR("");
	}
	struct str s = { c->message.p + c->at, n };
	c->at += n;
	return s;
}

/* RFC 1035 4.1.4.  Puts the name's labels with dots between them; out may be
 * NULL.  Each pointer must lead backwards, so that a name always ends. */
static void
take_name(struct cursor *c, struct buf *out)
{
	struct cursor here = *c;
	size_t lowest = c->at, total = 0;
	bool jumped = false;

	for (unsigned jumps = 0; !here.bad && jumps <= JUMPS_MAX;) {
		unsigned n = take_u8(&here);

		if (n >= 0xc0) {
			size_t to = (size_t)(n & 0x3f) << 8 | take_u8(&here);

			if (!jumped)
				c->at = here.at;
			jumped = true;
			jumps++;
			here.bad |= to >= lowest;
			here.at = lowest = to;
			continue;
		}
		total += n + 1;
		if (n > 63 || total > ANSWER_NAME)
			break;
		struct str label = take_bytes(&here, n);
		if (n == 0 && !here.bad) {
			if (!jumped)
				c->at = here.at;
			return;
		}
		if (out != NULL && out->n > 0)
			buf_putc(out, '.');
		if (out != NULL)
			buf_put_lower(out, label);
	}
	c->bad = true;
}

/* A host name's record data; with a leading preference for MX. */
static bool
put_host(struct cursor *c, struct buf *records, bool mx)
{
	char bytes[ANSWER_NAME + 1];
	struct buf name = BUF_ON(bytes);
	uint32_t preference = mx ? take_u16(c) : 0;

	take_name(c, &name);
	if (c->bad || name.full)
		return false;
	if (name.n > 0 && !address_is_domain(buf_str(&name)))
		return false;
	if (name.n == 0 && !mx)
		return false;
	if (mx)
		packet_u32(records, preference);
	packet_str(records, buf_str(&name));
	return true;
}

/* RFC 1035 3.3.14: strings of a length byte and bytes, put as one. */
static bool
put_text(struct str data, struct buf *records)
{
	char bytes[TEXT_MAX];
	struct buf text = BUF_ON(bytes);
	struct cursor c = { .message = data };

	while (c.at < data.n && !c.bad)
		buf_put(&text, take_bytes(&c, take_u8(&c)));
	if (c.bad || text.full)
		return false;
	packet_str(records, buf_str(&text));
	return true;
}

/* False: this record is left out. */
static bool
put_data(struct cursor *c, size_t n, enum answer_type type, struct buf *records)
{
	/* a compressed name points out of its data: the cursor keeps the
	 * message, but must end where the data ends */
	struct cursor inside = *c;
	struct str data = take_bytes(c, n);

	if (c->bad)
		return false;
	switch (type) {
	case ANSWER_A:
		if (n == 4)
			packet_str(records, data);
		return n == 4;
	case ANSWER_AAAA:
		if (n == 16)
			packet_str(records, data);
		return n == 16;
	case ANSWER_MX:
	case ANSWER_PTR:
		return put_host(&inside, records, type == ANSWER_MX) &&
		       inside.at == c->at;
	case ANSWER_TXT:
		return put_text(data, records);
	case ANSWER_TLSA:
		packet_str(records, data);
		return true;
	}
	return false;
}

/* Takes out the least preferred MX, the last of equals. */
static void
drop_worst_mx(struct buf *records)
{
	struct packet p = { .rest = buf_str(records) };
	size_t from = 0, to = 0;
	uint32_t most = 0;

	while (p.rest.n > 0 && !p.bad) {
		size_t at = records->n - p.rest.n;
		uint32_t preference = packet_get_u32(&p);

		(void)packet_get_str(&p, ANSWER_NAME);
		if (preference < most)
			continue;
		most = preference;
		from = at;
		to = records->n - p.rest.n;
	}
	memmove(records->p + from, records->p + to, records->n - to);
	buf_cut(records, records->n - (to - from));
}

/* True when the record is of the type asked for, put or not. */
static bool
take_record(struct cursor *c, enum answer_type type, struct buf *records,
    struct answer *a)
{
	take_name(c, NULL);
	unsigned is = take_u16(c), class = take_u16(c);
	uint32_t ttl = take_u32(c);
	size_t n = take_u16(c), before = records->n;

	if (is != (unsigned)type || class != CLASS_IN) {
		take_bytes(c, n);
		return false;
	}
	bool full = a->count == ANSWER_RECORDS;
	if (!put_data(c, n, type, records) || records->full ||
	    (full && type != ANSWER_MX)) {
		buf_cut(records, before);
		records->full = false;
		return true;
	}
	if (a->count == 0 || ttl < a->ttl)
		a->ttl = ttl;
	if (full)
		drop_worst_mx(records);
	else
		a->count++;
	return true;
}

bool
answer_type_known(uint32_t type)
{
	return type == ANSWER_A || type == ANSWER_AAAA || type == ANSWER_MX ||
	       type == ANSWER_PTR || type == ANSWER_TXT || type == ANSWER_TLSA;
}

struct answer
answer_parse(struct str message, enum answer_type type, struct buf *records)
{
	struct cursor c = { .message = message };
	struct answer a = { .status = ANSWER_FAILED };

	buf_reset(records);
	if (message.n < HEADER)
		return a;
	(void)take_u16(&c); /* id */
	unsigned code = take_u16(&c) & 0xf;
	unsigned questions = take_u16(&c), answers = take_u16(&c);
	c.at = HEADER;
	if (code == RCODE_NO_NAME)
		a.status = ANSWER_NO_NAME;
	if (code != RCODE_OK)
		return a;
	for (unsigned i = 0; i < questions && !c.bad; i++) {
		take_name(&c, NULL);
		(void)take_u32(&c); /* type and class */
	}
	unsigned matching = 0;
	for (unsigned i = 0; i < answers && !c.bad; i++)
		matching += take_record(&c, type, records, &a);
	if (c.bad) {
		buf_reset(records);
		return (struct answer){ .status = ANSWER_FAILED };
	}
	a.status = matching == 0 ? ANSWER_NO_RECORD : ANSWER_OK;
	return a;
}
