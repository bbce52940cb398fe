/* SPDX-License-Identifier: ISC
 * delivery: see delivery.h.  A straight script with waits; the protocol is in
 * client, reply and dot, what qmgr has not taken yet in reports.  No heap.
 */
#include "send/delivery.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include "common/clock.h"
#include "common/io.h"
#include "common/log.h"
#include "common/packet.h"
#include "send/client.h"
#include "send/conn.h"
#include "send/dot.h"
#include "send/job.h"
#include "send/reply.h"
#include "send/unacked.h"

enum {
	PIECE = 64 * 1024,    /* of a body, read and written at once */
	LINGER_MS = 60000,    /* for a new job socket, or acknowledgements */
	AFTER_CUT_SECONDS = 5 /* for the reply of one who stopped reading */
};

static struct {
	struct conn conn;
	int job_fd, control;
	bool job_full; /* the job socket did not take a packet */
	bool end_told; /* F was said */
	int64_t linger_until;
	struct client client;
	struct reply reply;
	struct unacked reports;
	struct job job;
	int body_fd; /* -1: no job */
	bool whole;  /* all of its body is in body[] */
	char out_bytes[CLIENT_OUT];
	char body[PIECE];
	char wire[DOT_ROOM(PIECE) + DOT_END_ROOM];
	char packet_in[PACKET_MAX], packet_out[PACKET_MAX];
} d; /* in .bss: what a small message does not touch costs nothing */

/* ---- qmgr ---- */

static void
start_linger(void)
{
	d.linger_until = clock_mono_ms() + LINGER_MS;
}

static void
drop_job_socket(void)
{
	io_close(&d.job_fd);
	d.job_full = false;
	start_linger();
}

static bool
tell(struct buf *packet)
{
	if (d.job_fd < 0 || packet->full)
		return false;
	if (packet_send(d.job_fd, buf_str(packet), NULL, 0) == 0)
		return true;
	if (errno == EAGAIN)
		d.job_full = true;
	else
		drop_job_socket();
	return false;
}

static bool
tell_end(enum verdict verdict, struct str text)
{
	struct buf packet = BUF_ON(d.packet_out);

	packet_begin(&packet, 'F');
	packet_u8(&packet, (uint8_t)verdict);
	packet_str(&packet, text);
	return tell(&packet);
}

/* Reports that were not told yet; behind them, when the connection is gone, F:
 * a job that came meanwhile was not touched. */
static void
tell_reports(void)
{
	struct buf packet = BUF_ON(d.packet_out);
	size_t upto;

	d.job_full = false;
	while (d.job_fd >= 0 && unacked_next(&d.reports, &packet, &upto)) {
		if (!tell(&packet))
			return;
		unacked_told(&d.reports, upto);
	}
	if (d.conn.fd < 0 && !d.end_told)
		d.end_told = tell_end(
		    VERDICT_DEFER, STR("4.4.2 the kept connection has ended"));
}

/* A new job socket (INTERNALS.md "Agents"): what is in flight, then reports
 * that were not taken, then E.  The socket is new and empty: all fits. */
static void
resume(int fd)
{
	struct buf packet = BUF_ON(d.packet_out);

	io_close(&d.job_fd);
	d.job_fd = fd;
	d.job_full = d.end_told = false;
	if (d.body_fd >= 0) {
		packet_begin(&packet, 'I');
		packet_u64(&packet, d.job.id);
		packet_u32(&packet, (uint32_t)d.job.count);
		for (size_t i = 0; i < d.job.count; i++)
			packet_u32(&packet, d.job.idx[i]);
		(void)tell(&packet); /* when it fails the socket is dropped */
	}
	unacked_untell(&d.reports);
	tell_reports();
	packet_begin(&packet, 'E');
	if (d.job_fd >= 0 && !tell(&packet))
		drop_job_socket();
}

static void
on_control(void)
{
	char storage[64];
	struct str bytes;
	int fds[PACKET_FDS];
	size_t nfds;
	int got = packet_recv(d.control, storage, sizeof(storage), MSG_DONTWAIT,
	    &bytes, fds, &nfds);

	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
		io_close(&d.control); /* the template has ended */
		return;
	}
	if (got < 0)
		return;
	if (nfds == 1 && str_eq(bytes, STR("N"))) {
		resume(fds[0]);
		return;
	}
	LOG(ERROR, "bad-packet", F_TEXT("link", "template"));
	packet_close_fds(fds, nfds);
}

/* ---- the body ---- */

static bool
read_piece(uint64_t at, struct str *piece)
{
	uint64_t left = d.job.size - at;
	size_t n = left < PIECE ? (size_t)left : PIECE;

	*piece = (struct str){ d.body, n };
	if (d.whole)
		return true;
	return io_pread_all(d.body_fd, d.body, n, d.job.offset + at) ==
	       (int64_t)n;
}

/* Looks at all of the body; a small one stays in memory.  False: it cannot be
 * read. */
static bool
scan_body(struct dot_scan *scan)
{
	struct str piece;

	d.whole = false;
	for (uint64_t at = 0; at < d.job.size; at += piece.n) {
		if (!read_piece(at, &piece))
			return false;
		dot_scan(scan, piece);
	}
	d.whole = d.job.size <= PIECE;
	return true;
}

enum body_status { BODY_SENT, BODY_CUT, BODY_UNREADABLE };

static enum body_status
write_body(void)
{
	struct dot dot = { .in_line = false };
	struct str piece;
	uint64_t at = 0;

	do {
		struct buf wire = BUF_ON(d.wire);

		if (!read_piece(at, &piece) || !dot_encode(&dot, piece, &wire))
			return BODY_UNREADABLE;
		at += piece.n;
		if (at == d.job.size)
			dot_end(&dot, &wire);
		if (conn_write(&d.conn, buf_str(&wire)) < 0)
			return BODY_CUT;
	} while (at < d.job.size);
	return BODY_SENT;
}

/* ---- the dialogue ---- */

static enum client_action
hear(struct buf *out, unsigned seconds)
{
	const char *lost = conn_read(&d.conn, &d.client, &d.reply, seconds);

	if (lost != NULL)
		return client_lost(&d.client, str_of(lost));
	return client_reply(&d.client, &d.reply, out);
}

static enum client_action
give_body(struct buf *out)
{
	switch (write_body()) {
	case BODY_SENT:
		return hear(out, client_timeout(&d.client));
	case BODY_CUT:
		client_body_failed(&d.client);
		return hear(out, AFTER_CUT_SECONDS);
	case BODY_UNREADABLE:
		break;
	}
	/* without its final dot the server must drop what it has */
	client_give_up(&d.client, VERDICT_DEFER,
	    STR("4.3.0 the message could not be read from the queue"));
	return CLIENT_CLOSE;
}

/* Talks until the action is READY or CLOSE. */
static enum client_action
converse(enum client_action action, struct buf *out)
{
	while (action == CLIENT_WAIT || action == CLIENT_BODY) {
		bool speaks = out->n > 0 || action == CLIENT_BODY;

		if (speaks && conn_has_unread(&d.conn)) {
			action = client_lost(
			    &d.client, STR("answered what was not asked"));
			continue;
		}
		/* a write that fails shows in the read behind it, where a
		 * last reply may still be found */
		if (out->n > 0)
			(void)conn_write(&d.conn, buf_str(out));
		buf_reset(out);
		if (action == CLIENT_BODY)
			action = give_body(out);
		else
			action = hear(out, client_timeout(&d.client));
	}
	return action;
}

static void
end_connection(bool politely)
{
	struct buf out = BUF_ON(d.out_bytes);

	if (d.conn.fd < 0)
		return;
	if (politely && d.client.phase == CLIENT_AT_IDLE) {
		client_quit(&d.client, &out);
		if (conn_write(&d.conn, buf_str(&out)) == 0)
			(void)conn_read(&d.conn, &d.client, &d.reply,
			    client_timeout(&d.client));
	}
	io_close(&d.conn.fd);
	start_linger();
	tell_reports();
}

/* ---- jobs ---- */

static void
report(uint32_t idx, enum verdict verdict, struct str text)
{
	unacked_add(&d.reports, d.job.id, idx, verdict, text);
}

/* Reports recipients that no RCPT can name, and takes them from the job. */
static void
drop_bad_recipients(void)
{
	size_t kept = 0;

	for (size_t i = 0; i < d.job.count; i++) {
		struct str address = d.client.recipients[i].address;

		if (!job_is_mailbox(address)) {
			report(d.job.idx[i], VERDICT_FAIL,
			    STR("5.1.3 this address cannot be written in "
				"SMTP"));
			continue;
		}
		d.client.recipients[kept].address = address;
		d.job.idx[kept++] = d.job.idx[i];
	}
	d.job.count = kept;
}

static void
report_all(enum verdict verdict, struct str text)
{
	for (size_t i = 0; i < d.job.count; i++)
		report(d.job.idx[i], verdict, text);
}

static enum client_action
send_message(void)
{
	struct buf out = BUF_ON(d.out_bytes);
	struct dot_scan scan = { .bytes = 0 };

	drop_bad_recipients();
	if (d.job.sender.n > 0 && !job_is_mailbox(d.job.sender)) {
		report_all(VERDICT_FAIL,
		    STR("5.1.7 the sender cannot be written in SMTP"));
		return CLIENT_READY;
	}
	if (!scan_body(&scan)) {
		report_all(VERDICT_DEFER,
		    STR("4.3.0 the message could not be read from the queue"));
		return CLIENT_READY;
	}
	if (d.job.count == 0)
		return CLIENT_READY;
	struct client_job job = { .sender = d.job.sender,
		.wire_size = dot_wire_size(&scan),
		.eight_bit = (d.job.flags & JOB_EIGHT_BIT) != 0,
		.dirty = scan.dirty };
	enum client_action action =
	    converse(client_start(&d.client, &job, d.job.count, &out), &out);
	for (size_t i = 0; i < d.job.count && !d.client.stale; i++)
		report(d.job.idx[i], d.client.recipients[i].verdict,
		    d.client.recipients[i].text);
	return action;
}

/* A job that finds the connection gone stays unreported: F follows, and qmgr
 * gives it to another connection at once. */
static void
take_job(struct packet *p, int *fds, size_t nfds)
{
	if (!job_parse(p, &d.job, d.client.recipients) || nfds != 1) {
		LOG(ERROR, "bad-packet", F_TEXT("link", "qmgr"));
		packet_close_fds(fds, nfds);
		drop_job_socket();
		return;
	}
	if (d.conn.fd < 0 || !unacked_room(&d.reports, CLIENT_RECIPIENTS)) {
		packet_close_fds(fds, nfds);
		end_connection(true);
		return;
	}
	d.body_fd = fds[0];
	enum client_action action = send_message();
	io_close(&d.body_fd);
	tell_reports();
	if (action == CLIENT_CLOSE)
		end_connection(false);
}

/* qmgr wants no more, or is gone.  It counts the connection until it sees the
 * end of the job socket, so that comes last. */
static void
leave(void)
{
	int was = d.job_fd;

	d.end_told = true;
	end_connection(true);
	if (d.job_fd == was) /* else a new one came meanwhile */
		drop_job_socket();
}

static void
on_job_socket(void)
{
	struct str bytes;
	int fds[PACKET_FDS];
	size_t nfds;
	int got = packet_recv(d.job_fd, d.packet_in, sizeof(d.packet_in),
	    MSG_DONTWAIT, &bytes, fds, &nfds);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (got <= 0) {
		leave();
		return;
	}
	struct packet p = packet_open(bytes);
	if (p.type == 'J') {
		take_job(&p, fds, nfds);
		return;
	}
	packet_close_fds(fds, nfds);
	if (p.type != 'K' || !unacked_take(&d.reports, &p))
		LOG(ERROR, "bad-packet", F_TEXT("link", "qmgr"));
}

/* ---- the life of the process ---- */

/* Serves what came; false when time is over. */
static bool
wait_idle(void)
{
	bool linger = d.conn.fd < 0 || d.job_fd < 0;
	int64_t left = linger ? d.linger_until - clock_mono_ms() : -1;
	short job_events = d.job_full ? POLLIN | POLLOUT : POLLIN;
	struct pollfd fds[3] = { { .fd = d.conn.fd, .events = POLLIN },
		{ .fd = d.job_fd, .events = job_events },
		{ .fd = d.control, .events = POLLIN } };

	if (linger && left <= 0)
		return false;
	int n = poll(fds, 3, (int)left);
	if (n < 0 && errno != EINTR)
		return false;
	if (n <= 0)
		return true;
	/* a server that says 421 or closes has had enough; a job that waits
	 * already must not be given to it */
	if (fds[0].revents != 0)
		end_connection(false);
	if (fds[2].revents != 0)
		on_control();
	else if ((fds[1].revents & POLLOUT) != 0)
		tell_reports();
	else if (fds[1].revents != 0)
		on_job_socket();
	return true;
}

static void
serve(void)
{
	for (;;) {
		if (d.reports.waiting == 0 && (d.conn.fd < 0 || d.job_fd < 0)) {
			end_connection(true);
			return;
		}
		/* qmgr is away: the server need not wait for it */
		if (d.job_fd < 0 && d.conn.fd >= 0)
			end_connection(true);
		bool forgotten = d.job_fd < 0 && d.control < 0;
		if (forgotten || !wait_idle()) {
			LOG(WARN, "reports-lost",
			    F_NUM("count", d.reports.waiting));
			return;
		}
	}
}

static void
report_failure(void)
{
	LOG(INFO, "host-failed", F_STR("host", d.client.host),
	    F_STR("ip", d.client.ip), F_STR("text", d.client.failure_text));
	/* an agent that ends unheard says the same */
	(void)tell_end(d.client.failure, d.client.failure_text);
}

void
delivery_run(const struct delivery_setup *setup)
{
	struct buf out = BUF_ON(d.out_bytes);

	d.conn.fd = setup->net;
	d.conn.other = &d.control;
	d.conn.on_other = on_control;
	d.job_fd = setup->job;
	d.control = setup->control;
	d.conn.timeout_cap = setup->timeout_cap;
	d.body_fd = -1;
	client_init(
	    &d.client, setup->host, setup->ip, setup->helo, setup->strict7bit);
	d.conn.leave = &d.job_fd; /* see INTERNALS.md, "Agents" */
	if (converse(CLIENT_WAIT, &out) == CLIENT_CLOSE) {
		report_failure();
		return;
	}
	d.conn.leave = NULL;
	serve();
}
