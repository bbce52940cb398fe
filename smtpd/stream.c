/* SPDX-License-Identifier: ISC
 * stream: contract in stream.h.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include "common/io.h"
#include "smtpd/stream.h"

enum {
	SEND_TIMEOUT_MS = 120 * 1000,
	/* RFC 5321 4.5.3.2.6: a client waits 10 minutes */
	ANSWER_TIMEOUT_MS = 580 * 1000,
	/* the envelope, a head and a payload per frame, the last tail */
	PARTS = 2 + 2 * STREAM_FRAMES
};

struct parts {
	struct iovec iov[PARTS];
	size_t count;
	char heads[STREAM_FRAMES * 16];
	struct buf head;
};

void
stream_begin(struct stream *s, int fd)
{
	s->fd = fd;
	s->sent = false;
	s->envelope = BUF_ON(s->envelope_storage);
	s->body = BUF_ON(s->body_storage);
}

static void
add_part(struct parts *p, struct str s)
{
	if (s.n == 0)
		return;
	struct iovec *v = &p->iov[p->count++];

	/* iov_base is not const, though sendmsg only reads */
	memcpy(&v->iov_base, &s.p, sizeof(v->iov_base));
	v->iov_len = s.n;
}

/* Takes n sent bytes off the front of the parts. */
static void
drop_sent(struct msghdr *m, size_t n)
{
	while (m->msg_iovlen > 0 && n >= m->msg_iov->iov_len) {
		n -= m->msg_iov->iov_len;
		m->msg_iov++;
		m->msg_iovlen--;
	}
	if (n > 0) {
		m->msg_iov->iov_base = (char *)m->msg_iov->iov_base + n;
		m->msg_iov->iov_len -= n;
	}
}

static int
send_parts(int fd, struct parts *p)
{
	struct msghdr m = { .msg_iov = p->iov, .msg_iovlen = p->count };

	while (m.msg_iovlen > 0) {
		ssize_t n = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n >= 0)
			drop_sent(&m, (size_t)n);
		else if (errno == EAGAIN) {
			if (io_wait(fd, true, SEND_TIMEOUT_MS) <= 0)
				return -1;
		} else if (errno != EINTR)
			return -1;
	}
	return 0;
}

/* Sends envelope and body, and `last` behind them. */
static int
send_all(struct stream *s, struct str last)
{
	struct parts p = { .count = 0 };
	struct str body = buf_str(&s->body);
	bool first = true;

	p.head = BUF_ON(p.heads);
	add_part(&p, buf_str(&s->envelope));
	for (; body.n > 0; first = false) {
		struct str chunk = str_head(body, STREAM_PAYLOAD);
		size_t from = buf_str(&p.head).n;

		if (!first)
			buf_putc(&p.head, ','); /* ends the frame before */
		frame_head(&p.head, 'B', chunk.n);
		add_part(&p, str_skip(buf_str(&p.head), from));
		add_part(&p, chunk);
		body = str_skip(body, chunk.n);
	}
	/* last begins with the comma that ends a body frame */
	add_part(&p, first ? str_skip(last, 1) : last);
	s->sent = true;
	buf_reset(&s->envelope);
	buf_reset(&s->body);
	return send_parts(s->fd, &p);
}

int
stream_flush(struct stream *s)
{
	return send_all(s, STR(","));
}

static int
put_frame(struct stream *s, char type, struct str payload)
{
	if (buf_room(&s->envelope) < FRAME_ROOM(payload.n) &&
	    stream_flush(s) < 0)
		return -1;
	frame_put(&s->envelope, type, payload);
	return 0;
}

int
stream_facts(struct stream *s, const struct facts *facts)
{
	char storage[FACTS_ROOM];
	struct buf b = BUF_ON(storage);

	facts_put(&b, facts);
	if (b.full || put_frame(s, 'P', buf_str(&b)) < 0 || stream_flush(s) < 0)
		return -1;
	s->sent = false; /* not part of a message */
	return 0;
}

int
stream_sender(struct stream *s, struct str address)
{
	return put_frame(s, 'F', address);
}

int
stream_recipient(struct stream *s, struct str address)
{
	return put_frame(s, 'T', address);
}

/* One frame from queued, no more: there is one answer per commit. */
static int
read_answer(struct stream *s, char *verdict, struct str *text)
{
	struct buf in = BUF_ON(s->answer);

	for (;;) {
		if (io_wait(s->fd, false, ANSWER_TIMEOUT_MS) <= 0)
			return -1;
		ssize_t n =
		    recv(s->fd, buf_tail(&in), buf_room(&in), MSG_DONTWAIT);
		size_t used;

		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0)
			return -1;
		buf_grew(&in, (size_t)n);
		switch (frame_next(
		    buf_str(&in), STREAM_ANSWER - 16, verdict, text, &used)) {
		case FRAME_OK:
			return used == buf_str(&in).n ? 0 : -1;
		case FRAME_BAD:
			return -1;
		case FRAME_MORE:
			break;
		}
	}
}

int
stream_commit(struct stream *s, char *verdict, struct str *text)
{
	uint64_t id;

	if (send_all(s, STR(",1:C,")) < 0 || read_answer(s, verdict, text) < 0)
		return -1;
	s->sent = false;
	if (*verdict == 'K') /* a filter may have kept the id to itself */
		return text->n == 0 || str_hex64(*text, &id) ? 0 : -1;
	return *verdict == 'Z' || *verdict == 'D' ? 0 : -1;
}

int
stream_forget(struct stream *s)
{
	bool sent = s->sent;

	buf_reset(&s->envelope);
	buf_reset(&s->body);
	s->sent = false;
	if (!sent)
		return 0;
	frame_put(&s->envelope, 'X', STR(""));
	int r = stream_flush(s);

	s->sent = false;
	return r;
}
