/* SPDX-License-Identifier: ISC
 * replies: contract in replies.h.
 */
#include "queue/replies.h"

#include <string.h>
#include "common/io.h"
#include "common/log.h"
#include "queue/bytes.h"
#include "queue/envelope.h"
#include "queue/note.h"
#include "queue/teller.h"
#include "queue/tend.h"

enum {
	BODIES_AT_ONCE = 64,
	MARKED_BYTES = 12 * 2048 /* in an `m` */
};

/* An answer to W that waits to be sent. */
struct replaced {
	uint64_t id;
	uint32_t idx;
	uint32_t told; /* how many of its recipients */
	uint32_t n;    /* bytes that follow: as in the record */
	char verdict;
};

static struct bytes marked = { .vital = true }; /* 12 bytes each, as in `m` */
/* each a struct replaced and its bytes */
static struct bytes answers = { .vital = true };
static struct bytes wanted = { .vital = true }; /* ids of O */
static bool settle_asked;			/* S is not answered yet */
static uint64_t settle_bound;
static char space[PACKET_MAX];

void
replies_forget(void)
{
	bytes_free(&marked);
	bytes_free(&answers);
	bytes_free(&wanted);
}

size_t
replies_backlog(void)
{
	return marked.n + answers.n + wanted.n;
}

void
replies_marked(uint64_t id, uint32_t idx)
{
	char text[12];
	struct buf b = BUF_ON(text);
	packet_u64(&b, id);
	packet_u32(&b, idx);
	if (!bytes_put(&marked, buf_str(&b)))
		LOG(ERROR, "no-memory", F_ID(id));
}

void
replies_replaced(uint64_t id, uint32_t idx, char verdict, struct str content)
{
	const struct replaced a = { .id = id,
		.idx = idx,
		.verdict = verdict,
		.n = (uint32_t)content.n };
	struct str head = { .p = (const char *)&a, .n = sizeof(a) };
	if (!bytes_reserve(&answers, answers.n + head.n + content.n) ||
	    !bytes_put(&answers, head) || !bytes_put(&answers, content))
		LOG(ERROR, "no-memory", F_ID(id));
}

static bool
send_marked(void)
{
	while (marked.n > 0) {
		struct str s = str_head(bytes_str(&marked), MARKED_BYTES);
		struct buf b = BUF_ON(space);
		packet_begin(&b, 'm');
		packet_u32(&b, (uint32_t)(s.n / 12));
		buf_put(&b, s);
		if (!teller_tell(&b, NULL))
			return false;
		bytes_drop(&marked, s.n);
	}
	return true;
}

/* Tells the recipients that came with a replacement, from a->told on. */
static bool
send_new_recipients(struct replaced *a, struct str content)
{
	struct replacement by;
	uint32_t told = a->told;
	if (a->n == 0 || !replacement_open(content, &by))
		return true;
	for (;;) {
		struct buf b = BUF_ON(space);
		if (!note_put_new(a->id, &by, &b, &told))
			return true;
		if (!teller_tell(&b, NULL))
			return false;
		a->told = told;
	}
}

static bool
send_replaced(void)
{
	while (answers.n > 0) {
		struct replaced a;
		memcpy(&a, answers.p, sizeof(a));
		struct str content = { .p = answers.p + sizeof(a), .n = a.n };
		if (a.verdict == 'K' && teller_is_half_told(a.id))
			a.verdict = 'Z';
		bool told =
		    a.verdict != 'K' || send_new_recipients(&a, content);
		if (answers.n == 0)
			return false; /* the link is gone */
		memcpy(answers.p, &a, sizeof(a));
		if (!told)
			return false;
		struct buf b = BUF_ON(space);
		packet_begin(&b, 'w');
		packet_u64(&b, a.id);
		packet_u32(&b, a.idx);
		packet_u8(&b, (uint8_t)a.verdict);
		packet_str(&b, a.verdict == 'K' ? STR("2.0.0 Replaced")
			       : a.verdict == 'D'
				   ? STR("5.4.6 Too many recipients")
				   : STR("4.3.0 Not now"));
		if (!teller_tell(&b, NULL))
			return false;
		bytes_drop(&answers, sizeof(a) + a.n);
	}
	return true;
}

bool
replies_want_body(uint64_t id)
{
	struct str s = { .p = (const char *)&id, .n = sizeof(id) };
	return bytes_put(&wanted, s);
}

static bool
send_body(struct spool *spool, uint64_t id)
{
	struct buf b = BUF_ON(space);
	int fd = note_answer(spool, id, &b);
	bool sent = teller_tell(&b, fd >= 0 ? &fd : NULL);
	io_close(&fd);
	return sent;
}

static bool
send_wanted(struct spool *spool)
{
	for (int i = 0; wanted.n >= sizeof(uint64_t); i++) {
		uint64_t id;
		if (i == BODIES_AT_ONCE)
			return false; /* after the next commit */
		memcpy(&id, wanted.p, sizeof(id));
		if (!send_body(spool, id))
			return false;
		bytes_drop(&wanted, sizeof(id));
	}
	return true;
}

void
replies_want_settled(uint64_t bound)
{
	settle_bound = bound;
	settle_asked = true;
}

/* How far settling is. */
static bool
send_settled(void)
{
	char text[32];
	struct buf b = BUF_ON(text);
	if (!settle_asked)
		return true;
	uint64_t left = tend_settle(&settle_bound);
	packet_begin(&b, 's');
	packet_u64(&b, settle_bound);
	packet_u64(&b, left);
	settle_asked = !teller_tell(&b, NULL);
	return !settle_asked;
}

bool
replies_send(struct spool *spool)
{
	return send_replaced() && send_settled() && send_wanted(spool) &&
	       send_marked();
}
