/* SPDX-License-Identifier: ISC
 * draft: contract in draft.h.
 */
#include "queue/draft.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"
#include "queue/settle.h"

static const char no_memory[] = "4.3.2 Out of memory, try again later";
static const char no_disk[] = "4.3.0 Spool cannot be written";
static const char bad_sender[] = "5.1.7 Bad sender address";
static const char bad_recipient[] = "5.1.3 Bad recipient address";
static const char too_many[] = "4.5.3 Too many recipients";
static const char incomplete[] = "5.5.1 Message without sender or recipient";

enum {
	/* Large bodies are written in pieces that end at multiples of this in
	 * the file: the page cache then keeps them in large folios. */
	PIECE = 64 * 1024
};

static uint64_t last_temporary;
static struct arrivals arrivals;
static struct draft *spare; /* one after another is made and freed */

void
draft_relieve(const struct spool *s, size_t memory)
{
	unsigned n = 0;
	struct arrival *a;
	while (bytes_in_use() > memory &&
	       (a = arrivals_dawdler(&arrivals)) != NULL) {
		draft_refuse((struct draft *)(void *)a, s, 'Z', no_memory);
		n++;
	}
	if (n > 0)
		LOG(WARN, "stalled", F_NUM("refused", n),
		    F_NUM("memory", bytes_in_use()));
}

/* ---- life ---- */

struct draft *
draft_new(struct stream *stream)
{
	struct draft *d = spare;
	if (d == NULL)
		d = malloc(sizeof(*d));
	if (d == NULL)
		return NULL;
	spare = NULL;
	memset(d, 0, offsetof(struct draft, sender));
	d->stream = stream;
	d->slot = LEDGER_NONE;
	d->verdict = 'K';
	d->fd = -1;
	arrivals_begin(&arrivals, &d->arrival);
	return d;
}

static void
forget(struct draft *d, const struct spool *s)
{
	arrivals_end(&arrivals, &d->arrival);
	bytes_free(&d->recipients);
	bytes_free(&d->body);
	bytes_free(&d->headed);
	bytes_free(&d->finished);
	if (d->fd < 0)
		return;
	char tmp[SETTLE_TMP];
	settle_tmp_name(d->temporary, tmp);
	io_close(&d->fd);
	/* gone already when settle has named it */
	if (!d->named && unlinkat(s->dirfd, tmp, 0) < 0 && errno != ENOENT)
		LOG(WARN, "cannot-remove", F_TEXT("file", tmp), F_ERRNO(errno));
}

void
draft_free(struct draft *d, const struct spool *s)
{
	forget(d, s);
	if (spare == NULL)
		spare = d;
	else
		free(d);
}

void
draft_refuse(
    struct draft *d, const struct spool *s, char verdict, const char *why)
{
	if (d->verdict != 'K')
		return;
	d->verdict = verdict;
	d->why = why;
	forget(d, s);
}

void
draft_sender(struct draft *d, const struct spool *s, struct str sender)
{
	if (d->has_sender || !envelope_sender_ok(sender)) {
		draft_refuse(d, s, 'D', bad_sender);
		return;
	}
	d->has_sender = true;
	d->sender_n = (uint16_t)sender.n;
	memcpy(d->sender, sender.p, sender.n);
}

static bool
add_recipient(struct draft *d, const struct spool *s, struct str address)
{
	char text[LIMIT_ADDRESS + 4];
	struct buf b = BUF_ON(text);
	packet_str(&b, address);
	if (!bytes_put(&d->recipients, buf_str(&b))) {
		draft_refuse(d, s, 'Z', no_memory);
		return false;
	}
	d->recipient_count++;
	return true;
}

static uint32_t
address_count(const struct draft *d)
{
	return d->recipient_count - (d->dropped ? 1 : 0);
}

void
draft_drop(struct draft *d, const struct spool *s, uint64_t key)
{
	char text[LIMIT_ADDRESS];
	struct buf b = BUF_ON(text);
	envelope_put_drop(&b, key);
	if (!add_recipient(d, s, buf_str(&b)))
		return;
	d->dropped = true;
	d->drop_key = key;
	d->flags |= ENVELOPE_DROPPED;
}

void
draft_recipient(struct draft *d, const struct spool *s, struct str address)
{
	if (d->verdict != 'K')
		return;
	if (!envelope_recipient_ok(address)) {
		draft_refuse(d, s, 'D', bad_recipient);
		return;
	}
	if (address_count(d) == LIMIT_RECIPIENTS)
		draft_refuse(d, s, 'Z', too_many);
	else
		(void)add_recipient(d, s, address);
}

void
draft_finishes(
    struct draft *d, const struct spool *s, uint64_t id, struct str idx)
{
	if (d->verdict != 'K')
		return;
	d->finishes = id;
	if (d->finished.n + idx.n > sizeof(uint32_t) * ENVELOPE_FINISHED ||
	    !bytes_put(&d->finished, idx))
		draft_refuse(d, s, 'Z', no_memory);
}

/* ---- bodies ---- */

static bool
has_high_bytes(struct str s)
{
	typedef uint64_t block __attribute__((vector_size(16)));
	block seen = { 0 };
	size_t i = 0;
	for (; i + sizeof(seen) <= s.n; i += sizeof(seen)) {
		block next;
		memcpy(&next, s.p + i, sizeof(next));
		seen |= next;
	}
	uint64_t all = seen[0] | seen[1];
	for (; i < s.n; i++)
		all |= (unsigned char)s.p[i];
	return (all & 0x8080808080808080u) != 0;
}

static void
refuse_disk(struct draft *d, const struct spool *s, int error)
{
	LOG(ERROR, "large-message", F_ERRNO(error));
	draft_refuse(d, s, 'Z', no_disk);
}

/* Moves what is in memory to the file. */
static bool
spill(struct draft *d, const struct spool *s)
{
	struct str chunk = bytes_str(&d->body);
	uint64_t at = MESS_BODY_AT + d->size - chunk.n;
	if (io_pwrite_all(d->fd, chunk, at) < 0) {
		refuse_disk(d, s, errno);
		return false;
	}
	d->body.n = 0;
	return true;
}

static bool
open_file(struct draft *d, const struct spool *s)
{
	char tmp[SETTLE_TMP];
	d->temporary = ++last_temporary;
	settle_tmp_name(d->temporary, tmp);
	randombytes_buf(&d->nonce, sizeof(d->nonce));
	d->fd = openat(s->dirfd, tmp,
	    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (d->fd >= 0)
		return true;
	refuse_disk(d, s, errno);
	return false;
}

/* Bytes until the next piece of the file is full. */
static size_t
piece_left(const struct draft *d)
{
	return PIECE - (size_t)((MESS_BODY_AT + d->size) % PIECE);
}

static bool
keep(struct draft *d, const struct spool *s, struct str bytes)
{
	if (!bytes_put(&d->body, bytes)) {
		draft_refuse(d, s, 'Z', no_memory);
		return false;
	}
	d->size += bytes.n;
	return true;
}

void
draft_body(struct draft *d, const struct spool *s, struct str bytes)
{
	if (d->verdict != 'K')
		return;
	if ((d->flags & ENVELOPE_8BIT) == 0 && has_high_bytes(bytes))
		d->flags |= ENVELOPE_8BIT;
	if (d->fd < 0 && d->body.n + bytes.n > LIMIT_SMALL_BODY &&
	    !open_file(d, s))
		return;
	while (d->fd >= 0 && bytes.n >= piece_left(d)) {
		struct str end = str_head(bytes, piece_left(d));
		bytes = str_skip(bytes, end.n);
		if (!keep(d, s, end) || !spill(d, s))
			return;
	}
	(void)keep(d, s, bytes); /* refused: answered at the commit */
}

/* ---- the end ---- */

struct str
draft_meta(const struct draft *d)
{
	return str_skip(bytes_str(&d->headed), RECORD_HEAD);
}

bool
draft_close(struct draft *d, const struct spool *s, struct str sid)
{
	if (d->verdict != 'K')
		return false;
	if (!d->has_sender || address_count(d) == 0) {
		draft_refuse(d, s, 'D', incomplete);
		return false;
	}
	const struct envelope e = { .flags = d->flags,
		.birth = (uint64_t)clock_now(),
		.sender = { .p = d->sender, .n = d->sender_n },
		.sid = str_head(sid, LIMIT_SID),
		.finishes = d->finishes,
		.finished = bytes_str(&d->finished),
		.recipients = { .count = d->recipient_count } };
	size_t n = RECORD_HEAD + ENVELOPE_HEAD + d->recipients.n;
	if (!bytes_reserve(&d->headed, n)) {
		draft_refuse(d, s, 'Z', no_memory);
		return false;
	}
	struct buf b = { .p = d->headed.p + RECORD_HEAD, .cap = ENVELOPE_HEAD };
	envelope_put_head(&b, &e);
	d->headed.n = RECORD_HEAD + b.n;
	if (b.full || !bytes_put(&d->headed, bytes_str(&d->recipients))) {
		draft_refuse(d, s, 'Z', no_memory);
		return false;
	}
	bytes_free(&d->recipients);
	arrivals_end(&arrivals, &d->arrival);
	return true;
}

bool
draft_complete(struct draft *d, const struct spool *s)
{
	if (!spill(d, s))
		return false;
	bytes_free(&d->body);
	const struct mess_head h = { .body_n = d->size };
	char entry[MESS_ENTRY_HEAD];
	struct str meta = draft_meta(d);
	uint64_t at = mess_entries_at(&h);
	mess_entry_seal(s->key, d->nonce, at, MESS_ENVELOPE, meta, entry);
	struct str entry_bytes = { .p = entry, .n = sizeof(entry) };
	if (io_pwrite_all(d->fd, entry_bytes, at) == 0 &&
	    io_pwrite_all(d->fd, meta, at + sizeof(entry)) == 0)
		return true;
	refuse_disk(d, s, errno);
	return false;
}
