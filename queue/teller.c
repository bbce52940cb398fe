/* SPDX-License-Identifier: ISC
 * teller: contract in teller.h.
 */
#include "queue/teller.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"
#include "common/loop.h"
#include "queue/change.h"
#include "queue/found.h"
#include "queue/heard.h"
#include "queue/note.h"
#include "queue/replies.h"
#include "queue/round.h"

enum {
	HELD_MAX = 1024, /* descriptors given with notes that are not done */
	FORGET_EVERY_MS = 5000, /* half of them count as closed after this */
	PAUSE_MS = 500,
	NOTES_AT_ONCE = 256,   /* told from the disk between two commits */
	PACKETS_AT_ONCE = 64,  /* read from qmgr between two commits */
	BACKLOG = 1024 * 1024, /* bytes of answers: above it qmgr is not read */
};

static struct spool *spool;
static struct watch watch;
static unsigned link_number;
static bool told_end;	    /* `E` was sent on this link */
static uint32_t cursor;	    /* first slot that is not (wholly) told */
static uint32_t cursor_idx; /* 0: not begun */
static unsigned held;
static int64_t paused_until; /* no memory or descriptor to read a message */
static int64_t forget_at;
static char space[PACKET_MAX];
static char incoming[PACKET_MAX];

/* ---- the link ---- */

static void
unlink_qmgr(void)
{
	loop_remove(&watch);
	io_close(&watch.fd);
	replies_forget();
}

static void
want_output(bool want)
{
	if (watch.fd < 0)
		return;
	size_t backlog = replies_backlog() + change_backlog();
	uint32_t in = backlog > BACKLOG ? 0 : EPOLLIN;
	loop_change(&watch, want ? in | EPOLLOUT : in);
}

/* What qmgr could not be sent has to wait; or the link is gone. */
static void
not_sent(void)
{
	if (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS)
		return;
	LOG(WARN, "link-lost", F_TEXT("peer", "qmgr"), F_ERRNO(errno));
	unlink_qmgr();
}

bool
teller_tell(const struct buf *b, const int *fd)
{
	int r = packet_send(watch.fd, buf_str(b), fd, fd == NULL ? 0 : 1);
	if (r < 0 && fd != NULL && errno == ETOOMANYREFS)
		r = packet_send(watch.fd, buf_str(b), NULL, 0);
	if (r == 0)
		return true;
	not_sent();
	return false;
}

/* ---- telling a message ---- */

static void
advance_cursor(void)
{
	cursor = ledger_at(&spool->ledger, cursor)->newer;
	cursor_idx = 0;
}

static bool
send_note(const struct note *n, const struct buf *b)
{
	int fd = -1;
	/* -1: qmgr will ask for it; a file's body is checked then */
	if (cursor_idx == 0 && held < HELD_MAX && !n->has_file)
		fd = note_body(spool, n);
	bool sent = teller_tell(b, fd >= 0 ? &fd : NULL);
	if (sent && fd >= 0) {
		ledger_at(&spool->ledger, cursor)->flags |= LEDGER_HELD;
		held++;
	}
	io_close(&fd);
	return sent;
}

/* Tells the message at the cursor, from cursor_idx on.  False: not all of it
 * could be sent now. */
static bool
tell_note(const struct note *n)
{
	bool more = true;
	while (more) {
		uint32_t idx = cursor_idx;
		struct buf b = BUF_ON(space);
		if (!note_put(n, &b, &idx, &more))
			break; /* nobody left to tell of */
		if (!send_note(n, &b))
			return false;
		cursor_idx = idx;
	}
	advance_cursor();
	return true;
}

/* Tells the message at the cursor, which is read from the disk. */
static bool
tell_stored(void)
{
	const struct ledger_entry *e = ledger_at(&spool->ledger, cursor);
	struct note n;
	if (e->left == 0) {
		advance_cursor(); /* only its file is still there */
		return true;
	}
	if (note_load(spool, e, &n) < 0) {
		int error = errno;
		LOG(ERROR, "unreadable", F_ID(e->id), F_ERRNO(error));
		if (found_is_ours(error)) {
			paused_until = clock_mono_ms() + PAUSE_MS;
			return false; /* the same one, later */
		}
		if (error == EBADMSG)
			spool_put_aside(spool, cursor);
		advance_cursor();
		return true;
	}
	bool done = tell_note(&n);
	note_close(&n);
	return done;
}

/* ---- telling many new ones at once ---- */

static struct {
	uint32_t slot;
	bool has_body;
} in_round[ROUND_MAX];

/* False: not all went; the cursor stands at the first that did not. */
static bool
send_round(void)
{
	unsigned all = round_count();
	unsigned sent = round_send(watch.fd);
	for (unsigned i = 0; i < sent; i++) {
		cursor = in_round[i].slot;
		if (in_round[i].has_body) {
			ledger_at(&spool->ledger, cursor)->flags |= LEDGER_HELD;
			held++;
		}
		advance_cursor();
	}
	if (sent == all)
		return true;
	cursor = in_round[sent].slot;
	not_sent();
	return false;
}

/* False: as send_round. */
static bool
add_to_round(const struct note *n, uint32_t slot)
{
	uint32_t idx = 0;
	bool more = false;
	if (round_is_full() && !send_round())
		return false;
	struct buf b = round_place();
	if (!note_put(n, &b, &idx, &more))
		return true; /* nobody to tell of */
	if (more) {	     /* too long for one packet */
		if (!send_round())
			return false;
		cursor = slot;
		return tell_note(n);
	}
	int fd = -1;
	if (held + round_count() < HELD_MAX)
		fd = note_body(spool, n); /* -1: qmgr will ask for it */
	in_round[round_count()].slot = slot;
	in_round[round_count()].has_body = fd >= 0;
	round_add(&b, fd);
	return true;
}

void
teller_new(const struct draft *first)
{
	bool all = true;
	for (const struct draft *d = first; all && d != NULL; d = d->next) {
		struct note n;
		if (d->slot == LEDGER_NONE)
			continue;
		if (watch.fd < 0 ||
		    (round_count() == 0 && cursor != LEDGER_NONE &&
			cursor != d->slot))
			return; /* it lags: the disk has it */
		if (note_of_draft(spool, d, &n))
			all = add_to_round(&n, d->slot);
	}
	if (round_count() > 0)
		all = send_round() && all;
	if (!all)
		want_output(true);
}

/* A message was found on the disk: it is told when all before it are. */
static void
slot_added(uint32_t slot)
{
	if (watch.fd >= 0 && cursor == LEDGER_NONE) {
		cursor = slot;
		cursor_idx = 0;
	}
}

/* A slot is about to be dropped. */
static void
slot_dropped(uint32_t slot)
{
	const struct ledger_entry *e = ledger_at(&spool->ledger, slot);
	if ((e->flags & LEDGER_HELD) != 0 && held > 0)
		held--;
	if (slot == cursor)
		advance_cursor();
}

/* ---- answers ---- */

void
teller_marked(uint64_t id, uint32_t idx, unsigned link)
{
	/* a new qmgr sees what is left in the index */
	if (link == link_number && watch.fd >= 0)
		replies_marked(id, idx);
}

void
teller_replaced(
    uint64_t id, uint32_t idx, char verdict, struct str content, unsigned link)
{
	if (link == link_number && watch.fd >= 0)
		replies_replaced(id, idx, verdict, content);
}

/* While a message is half told, its new recipients would come twice: then qmgr
 * is to ask again. */
bool
teller_is_half_told(uint64_t id)
{
	return cursor != LEDGER_NONE && cursor_idx > 0 &&
	       ledger_at(&spool->ledger, cursor)->id == id;
}

static bool
send_notes(void)
{
	if (clock_mono_ms() < paused_until)
		return cursor == LEDGER_NONE;
	for (int i = 0; cursor != LEDGER_NONE; i++)
		if (i == NOTES_AT_ONCE || !tell_stored())
			return false; /* after the next commit */
	if (told_end || found_left(spool))
		return true;
	struct buf b = BUF_ON(space);
	packet_begin(&b, 'E');
	told_end = teller_tell(&b, NULL);
	return told_end;
}

int
teller_run(void)
{
	int64_t now = clock_mono_ms();
	if (now >= forget_at) {
		/* what is deferred keeps no descriptor: do not count it */
		held /= 2;
		forget_at = now + FORGET_EVERY_MS;
	}
	if (watch.fd < 0)
		return -1;
	bool all = replies_send(spool) && send_notes();
	bool paused = clock_mono_ms() < paused_until;
	want_output(!all && !paused);
	return paused ? PAUSE_MS : -1;
}

/* ---- the link ---- */

static void
on_ready(struct watch *w, uint32_t events)
{
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0)
		return; /* room to send: teller_run comes */
	for (int i = 0; i < PACKETS_AT_ONCE; i++) {
		struct str bytes;
		int fds[PACKET_FDS];
		size_t nfds;
		int n = packet_recv(w->fd, incoming, sizeof(incoming),
		    MSG_DONTWAIT, &bytes, fds, &nfds);
		if (n < 0 && errno == EMSGSIZE)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			unlink_qmgr(); /* a new link comes with the next one */
			return;
		}
		packet_close_fds(fds, nfds);
		struct packet p = packet_open(bytes);
		if (!heard_packet(&p, link_number))
			LOG(ERROR, "bad-packet", F_TEXT("peer", "qmgr"));
	}
}

void
teller_link(int fd)
{
	unlink_qmgr();
	link_number++;
	told_end = false;
	held = 0;
	cursor = spool->ledger.oldest;
	cursor_idx = 0;
	watch.fd = fd;
	if (loop_add(&watch, EPOLLIN) < 0) {
		LOG(ERROR, "link", F_ERRNO(errno));
		io_close(&watch.fd);
	}
}

void
teller_init(struct spool *s)
{
	spool = s;
	heard_init(s);
	spool->on_drop = slot_dropped;
	spool->on_add = slot_added;
	watch = (struct watch){ .fd = -1, .ready = on_ready };
	cursor = LEDGER_NONE;
}
