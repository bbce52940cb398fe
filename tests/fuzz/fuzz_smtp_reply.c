/* SPDX-License-Identifier: ISC
 * Fuzzes the reply parser and the client behind it: any bytes of a server, cut
 * as the first byte says, give the same dialogue as uncut.
 */
#include <stdlib.h>
#include <string.h>

#include "send/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	size_t said, decided;
	unsigned jobs;
	enum client_phase phase;
	uint64_t sum;
};

static void
add(struct outcome *o, struct str s)
{
	o->said += s.n;
	for (size_t i = 0; i < s.n; i++)
		o->sum = o->sum * 31 + (unsigned char)s.p[i];
}

static enum client_action
start(struct client *c, struct buf *out)
{
	const struct client_job job = {
		.sender = STR("a@b"), .wire_size = 100, .eight_bit = true
	};

	c->recipients[0].address = STR("c@d");
	c->recipients[1].address = STR("e@f");
	return client_start(c, &job, 2, out);
}

static void
check_job(struct outcome *o, const struct client *c, enum client_action a)
{
	if (a != CLIENT_READY && a != CLIENT_CLOSE)
		return;
	for (size_t i = 0; i < c->count && !c->stale; i++) {
		if (!c->recipients[i].decided)
			abort();
		add(o, c->recipients[i].text);
		o->decided++;
	}
}

static struct outcome
talk(struct str in, size_t piece)
{
	static struct client c;
	static struct reply r;
	static char out_bytes[CLIENT_OUT];
	struct buf out = BUF_ON(out_bytes);
	struct outcome o = { .said = 0 };
	enum client_action a = CLIENT_WAIT;
	size_t at = 0;

	client_init(&c, STR("mx"), STR("192.0.2.1"), STR("me"), false);
	reply_begin(&r);
	while (at < in.n && a != CLIENT_CLOSE) {
		size_t used, end = (at / piece + 1) * piece;
		enum reply_status s =
		    reply_feed(&r, str_head(str_skip(in, at), end - at), &used);

		at += used;
		if (s == REPLY_LINE || s == REPLY_DONE)
			client_line(&c, &r);
		if (s == REPLY_BAD)
			a = client_lost(&c, STR("babbled"));
		else if (s == REPLY_DONE)
			a = client_reply(&c, &r, &out);
		if (s == REPLY_DONE)
			reply_begin(&r);
		if (c.count > 0 && (s == REPLY_DONE || s == REPLY_BAD))
			check_job(&o, &c, a);
		if (s == REPLY_DONE && a == CLIENT_READY)
			a = start(&c, &out);
		if (out.full)
			abort();
		add(&o, buf_str(&out));
		buf_reset(&out);
	}
	o.jobs = c.jobs;
	o.phase = c.phase;
	return o;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct str in = { (const char *)data + 1, size - 1 };
	struct outcome whole = talk(in, size + 1);
	struct outcome cut = talk(in, (size_t)data[0] % 16 + 1);

	if (whole.said != cut.said || whole.sum != cut.sum ||
	    whole.jobs != cut.jobs || whole.phase != cut.phase ||
	    whole.decided != cut.decided)
		abort();
	return 0;
}
