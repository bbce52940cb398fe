/* SPDX-License-Identifier: ISC
 * stream: contract in stream.h.
 */
#include "filter/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/door.h"
#include "common/frame.h"
#include "common/io.h"
#include "common/log.h"
#include "common/loop.h"
#include "filter/runner.h"
#include "filter/session.h"

enum {
	STREAMS_MAX = 60000,
	READ = 64 * 1024,
	ACCEPTS_AT_ONCE = 64,
	ANSWER_ROOM = LIMIT_REPLY_TEXT + 64
};

struct stream {
	struct watch watch; /* fd -1: closed */
	struct session session;
	struct runner_job job; /* while its message is with the runner */
	bool waits;	       /* for the runner: not watched */
	bool dirty;	       /* stream_run looks at it */
	struct stream *next;
	char *kept; /* what is not parsed yet */
	size_t kept_n;
};

static struct watch accept_watch;
static struct stream *to_look_at;
static unsigned count;
static uid_t own, smtpd;
static uint64_t local_number;
static char scratch[2 * READ + FRAME_ROOM(LIMIT_FRAME)];

static void on_ready(struct watch *, uint32_t);

/* ---- life ---- */

static void
look_later(struct stream *s)
{
	if (s->dirty)
		return;
	s->dirty = true;
	s->next = to_look_at;
	to_look_at = s;
}

static void
drop_kept(struct stream *s)
{
	message_drop(s->kept, s->kept_n);
	s->kept = NULL;
	s->kept_n = 0;
}

/* in: not what is kept already. */
static bool
keep(struct stream *s, struct str in)
{
	drop_kept(s);
	if (in.n == 0)
		return true;
	s->kept = message_keep(in);
	if (s->kept == NULL)
		return false;
	s->kept_n = in.n;
	return true;
}

/* The struct lives on until stream_run. */
static void
stream_close(struct stream *s)
{
	if (s->watch.fd < 0)
		return;
	loop_remove(&s->watch);
	io_close(&s->watch.fd);
	drop_kept(s);
	session_reset(&s->session);
	look_later(s);
}

/* No fault of the peer's, who sees the end and tries again. */
static void
break_off(struct stream *s, int error)
{
	LOG(ERROR, "stream", F_STR("sid", session_facts(&s->session).sid),
	    F_ERRNO(error));
	stream_close(s);
}

static struct stream *
stream_open(int fd, const struct facts *f)
{
	struct stream *s = count < STREAMS_MAX ? malloc(sizeof(*s)) : NULL;

	if (s == NULL) {
		LOG(ERROR, "stream", F_STR("sid", f->sid), F_ERRNO(ENOMEM));
		io_close(&fd);
		return NULL;
	}
	memset(s, 0, sizeof(*s));
	s->watch = (struct watch){ .fd = fd, .ready = on_ready, .arg = s };
	session_set_facts(&s->session, f);
	if (loop_add(&s->watch, EPOLLIN) < 0) {
		LOG(ERROR, "stream", F_STR("sid", f->sid), F_ERRNO(errno));
		io_close(&fd);
		free(s);
		return NULL;
	}
	count++;
	return s;
}

void
stream_serve(int fd, const struct facts *f)
{
	(void)stream_open(fd, f); /* NULL: its peer sees the end */
}

unsigned
stream_count(void)
{
	return count;
}

/* ---- answers ---- */

/* One per message, and none before it was read: it always fits. */
static void
answer(struct stream *s, char verdict, struct str text)
{
	char room[ANSWER_ROOM];
	struct buf b = BUF_ON(room);

	frame_put(&b, verdict, text);
	session_reset(&s->session);
	if (b.full || send(s->watch.fd, b.p, b.n,
			  MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)b.n)
		stream_close(s);
	look_later(s); /* more may have come meanwhile */
}

static void
on_done(struct runner_job *j, char verdict, struct str text)
{
	struct stream *s =
	    (struct stream *)(void *)((char *)j - offsetof(struct stream, job));

	s->waits = false;
	if (loop_add(&s->watch, EPOLLIN) < 0) {
		break_off(s, errno);
		return;
	}
	answer(s, verdict, text);
}

/* The end of its peer does not end what its program does: the message may be in
 * the queue already. */
static void
commit(struct stream *s)
{
	struct message *m = s->session.message;

	if (!message_close(m)) {
		answer(s, m->verdict, str_of(m->why));
		return;
	}
	s->waits = true;
	loop_remove(&s->watch);
	s->job = (struct runner_job){ .message = m,
		.facts = session_facts(&s->session),
		.done = on_done };
	runner_begin(&s->job);
}

/* ---- input ---- */

/* in: in scratch. */
static void
parse(struct stream *s, struct str in)
{
	if (!session_take(&s->session, &in)) {
		LOG(WARN, "bad-frame",
		    F_STR("sid", session_facts(&s->session).sid));
		stream_close(s);
	} else if (!keep(s, in)) {
		break_off(s, ENOMEM);
	} else if (s->session.committed) {
		commit(s);
	}
}

static void
read_input(struct stream *s)
{
	size_t kept = s->kept_n;

	if (kept > 0)
		memcpy(scratch, s->kept, kept);
	ssize_t n = recv(s->watch.fd, scratch + kept, READ, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0 && errno != ECONNRESET)
		break_off(s, errno);
	else if (n <= 0)
		stream_close(s);
	else
		parse(s, (struct str){ .p = scratch, .n = kept + (size_t)n });
}

static void
on_ready(struct watch *w, uint32_t events)
{
	(void)events; /* the end of the peer shows itself in the reading */
	read_input(w->arg);
}

/* Goes on with what was read while its message was with the runner. */
static void
go_on(struct stream *s)
{
	size_t n = s->kept_n;

	if (n == 0)
		return;
	memcpy(scratch, s->kept, n);
	parse(s, (struct str){ .p = scratch, .n = n });
}

void
stream_run(void)
{
	while (to_look_at != NULL) {
		struct stream *s = to_look_at;
		to_look_at = s->next;
		s->dirty = false;
		if (s->watch.fd >= 0 && !s->waits)
			go_on(s);
		if (s->watch.fd < 0 && !s->dirty) {
			free(s);
			count--;
		}
	}
}

/* ---- those who connect to run/filter ---- */

static void
open_local(int fd, uid_t uid)
{
	char room[LIMIT_SID + 1];
	struct buf sid = BUF_ON(room);
	bool ours = uid == 0 || uid == own;

	if (!ours && uid != smtpd) {
		LOG(WARN, "strange-peer", F_NUM("uid", uid));
		io_close(&fd);
		return;
	}
	facts_put_sid(&sid, "filter-", uid, ++local_number);
	struct stream *s = stream_open(
	    fd, &(struct facts){ .sid = buf_str(&sid), .relay = ours });
	if (s != NULL)
		s->session.may_tell_facts = true;
}

static void
on_accept(struct watch *w, uint32_t events)
{
	(void)events;
	for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
		uid_t uid;
		int fd = door_accept(w, &uid);
		if (fd < 0)
			return;
		open_local(fd, uid);
	}
}

void
stream_init(int listen_fd, uid_t own_uid, uid_t smtpd_uid)
{
	own = own_uid;
	smtpd = smtpd_uid;
	accept_watch = (struct watch){ .fd = listen_fd, .ready = on_accept };
	door_open(&accept_watch, "run/filter");
}
