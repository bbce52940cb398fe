/* SPDX-License-Identifier: ISC
 * stream: contract in stream.h.
 */
#include "queue/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/door.h"
#include "common/frame.h"
#include "common/io.h"
#include "common/log.h"
#include "common/loop.h"
#include "queue/crowd.h"
#include "queue/session.h"
#include "queue/tellers.h"

enum {
	STREAMS_MAX = 60000,
	LOCAL_IDLE_MS = 600000,
	LOOK_EVERY_MS = 30000, /* for idle ones */
	STARVED_MS = 500,      /* memory is looked at so often */
	ANSWERS = 1024,	       /* room for their answers */
	READ = 64 * 1024,
	ACCEPTS_AT_ONCE = 64,
	REFUSAL_LOG_MS = 1000,
	AT_WORK_MS = 1000 /* since a local one was heard of */
};

struct stream {
	struct watch watch; /* fd -1: closed, waits for its drafts to end */
	struct session session;
	bool paused;
	bool starved;	     /* waits for memory */
	bool dirty;	     /* stream_run will look at it */
	struct bytes input;  /* what is not parsed yet */
	struct stream *next; /* of those with answers to send */
	struct stream *next_starved;
	struct stream *older, *newer; /* local ones */
	uid_t uid;
	int64_t seen_ms;
	uint16_t out_n;
	char out[ANSWERS];
};

static struct stream_limits limits;
static struct watch accept_watch;
static struct stream *bounce, *pickup;
static struct stream *to_flush;
static struct stream *newest_local;
static struct stream *starved;
static unsigned stream_count;
static struct crowd crowd; /* at run/queue */
static uint64_t local_number;
static int64_t next_look, refused_said_ms;
static uint64_t refused; /* local ones, since the last line about it */
static char scratch[READ + LIMIT_FRAME + FRAME_ROOM(0) + READ];

/* ---- life ---- */

/* Has stream_run look at it: to send, to go on, or to free it. */
static void
look_later(struct stream *s)
{
	if (s->dirty)
		return;
	s->dirty = true;
	s->next = to_flush;
	to_flush = s;
}

static void
unlink_starved(struct stream *s)
{
	struct stream **at = &starved;
	while (*at != NULL && *at != s)
		at = &(*at)->next_starved;
	if (*at == s)
		*at = s->next_starved;
	s->starved = false;
}

static bool
is_trusted(uid_t uid)
{
	return uid == 0 || tellers_has(uid);
}

static void
unlink_local(struct stream *s)
{
	if (s->newer != NULL)
		s->newer->older = s->older;
	else
		newest_local = s->older;
	if (s->older != NULL)
		s->older->newer = s->newer;
	crowd_leave(&crowd, s->uid, is_trusted(s->uid));
}

/* The struct lives on until stream_run, and until its drafts are done. */
static void
stream_close(struct stream *s)
{
	if (s->watch.fd < 0)
		return;
	loop_remove(&s->watch);
	io_close(&s->watch.fd);
	bytes_free(&s->input);
	session_reset(&s->session);
	s->out_n = 0;
	if (s->starved)
		unlink_starved(s);
	if (s == bounce)
		bounce = NULL;
	if (s == pickup)
		pickup = NULL;
	if (s->session.kind == SESSION_LOCAL)
		unlink_local(s);
	look_later(s);
}

static void on_ready(struct watch *, uint32_t);

/* No fault of the peer's, who sees the end and tries again. */
static void
break_off(struct stream *s, int error)
{
	LOG(ERROR, "stream", F_STR("sid", session_sid(&s->session)),
	    F_ERRNO(error));
	stream_close(s);
}

/* Takes fd over.  NULL: it is closed. */
static struct stream *
stream_open(int fd, enum session_kind kind, struct str sid)
{
	struct stream *s = NULL;
	if (stream_count < STREAMS_MAX)
		s = malloc(sizeof(*s));
	if (s == NULL) {
		LOG(ERROR, "stream", F_STR("sid", sid), F_ERRNO(ENOMEM));
		io_close(&fd);
		return NULL;
	}
	memset(s, 0, offsetof(struct stream, out));
	s->watch = (struct watch){ .fd = fd, .ready = on_ready, .arg = s };
	s->session.stream = s;
	s->session.kind = kind;
	session_set_sid(&s->session, sid);
	s->uid = (uid_t)-1;
	/* whether fd blocks is all the same: MSG_DONTWAIT is with every call */
	if (loop_add(&s->watch, EPOLLIN) < 0) {
		LOG(ERROR, "stream", F_STR("sid", sid), F_ERRNO(errno));
		io_close(&fd);
		free(s);
		return NULL;
	}
	stream_count++;
	return s;
}

/* A paused stream is not watched at all: epoll would go on reporting the end
 * of its peer. */
static void
pause_reading(struct stream *s)
{
	if (s->paused)
		return;
	s->paused = true;
	loop_remove(&s->watch);
}

static void
watch_again(struct stream *s)
{
	uint32_t events = s->out_n > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN;
	s->paused = false;
	if (loop_add(&s->watch, events) < 0)
		break_off(s, errno);
}

/* ---- input and output ---- */

static void
drop(struct stream *s)
{
	LOG(WARN, "bad-frame", F_STR("sid", session_sid(&s->session)));
	stream_close(s);
}

static void
parse(struct stream *s, struct str in)
{
	if (!session_take(&s->session, &in)) {
		drop(s);
		return;
	}
	s->input.n = 0;
	if (in.n > 0 && !bytes_put(&s->input, in)) {
		break_off(s, ENOMEM);
		return;
	}
	if (in.n == 0)
		bytes_free(&s->input);
	if (session_must_wait(&s->session))
		pause_reading(s);
}

static void
read_input(struct stream *s)
{
	if (s->session.draft == NULL && bytes_in_use() > limits.memory) {
		s->starved = true;
		s->next_starved = starved;
		starved = s;
		pause_reading(s);
		return;
	}
	/* what is left from before goes in front, so that frames are whole */
	size_t kept = s->input.n;
	if (kept > 0)
		memcpy(scratch, s->input.p, kept);
	ssize_t n = recv(s->watch.fd, scratch + kept, READ, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0 && errno != ECONNRESET) {
		break_off(s, errno);
		return;
	}
	if (n <= 0) {
		stream_close(s);
		return;
	}
	if (s->session.kind == SESSION_LOCAL)
		s->seen_ms = clock_mono_ms();
	parse(s, (struct str){ .p = scratch, .n = kept + (size_t)n });
}

static void
flush_answers(struct stream *s)
{
	if (s->watch.fd < 0 || s->out_n == 0)
		return;
	ssize_t n =
	    send(s->watch.fd, s->out, s->out_n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN) {
		stream_close(s);
		return;
	}
	if (n > 0) {
		s->out_n = (uint16_t)(s->out_n - n);
		memmove(s->out, s->out + n, s->out_n);
	}
	if (!s->paused)
		loop_change(
		    &s->watch, s->out_n > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void
on_ready(struct watch *w, uint32_t events)
{
	struct stream *s = w->arg;
	if ((events & EPOLLOUT) != 0)
		flush_answers(s);
	/* the end of the peer shows itself in the reading */
	if (s->watch.fd >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
		read_input(s);
}

void
stream_answer(struct stream *s, char verdict, struct str text)
{
	if (s->watch.fd < 0)
		return;
	struct buf b = { .p = s->out, .n = s->out_n, .cap = sizeof(s->out) };
	frame_put(&b, verdict, text);
	if (b.full) {
		stream_close(s); /* it asks, and never reads */
		return;
	}
	s->out_n = (uint16_t)b.n;
	look_later(s);
}

void
stream_draft_done(struct stream *s)
{
	session_draft_done(&s->session);
	look_later(s);
}

/* Goes on with what a stream sent while it had to wait. */
static void
go_on(struct stream *s)
{
	if (s->watch.fd < 0 || !s->paused || s->starved ||
	    session_must_wait(&s->session))
		return;
	watch_again(s);
	if (s->watch.fd < 0 || s->input.n == 0)
		return;
	size_t n = s->input.n;
	memcpy(scratch, s->input.p, n);
	parse(s, (struct str){ .p = scratch, .n = n });
}

/* ---- those who connect to run/queue ---- */

static void
drop_idle(void)
{
	int64_t now = clock_mono_ms();
	if (now < next_look)
		return;
	next_look = now + LOOK_EVERY_MS;
	for (struct stream *s = newest_local; s != NULL;) {
		struct stream *older = s->older;
		if (now - s->seen_ms > LOCAL_IDLE_MS &&
		    s->session.in_flight == 0)
			stream_close(s);
		s = older;
	}
}

static void
open_local(int fd, uid_t uid)
{
	struct stream *s = stream_open(fd, SESSION_LOCAL, STR("local"));
	if (s == NULL)
		return;
	session_name(&s->session, "local-", uid, ++local_number);
	s->uid = uid;
	s->seen_ms = clock_mono_ms();
	s->session.may_tell_facts = tellers_may_tell(uid);
	s->session.of_user = !s->session.may_tell_facts;
	/* a local user may send anywhere; posternd, posternf if they say so */
	s->session.relay = !tellers_has(uid);
	s->older = newest_local;
	if (newest_local != NULL)
		newest_local->newer = s;
	newest_local = s;
	crowd_enter(&crowd, uid, is_trusted(uid));
}

static void
refuse(int fd, uid_t uid)
{
	int64_t now = clock_mono_ms();
	io_close(&fd);
	refused++;
	if (now - refused_said_ms < REFUSAL_LOG_MS && refused_said_ms != 0)
		return;
	LOG(WARN, "too-many-local", F_NUM("refused", refused),
	    F_NUM("uid", uid), F_NUM("all", crowd.users + crowd.trusted));
	refused = 0;
	refused_said_ms = now;
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
		bool trusted = is_trusted(uid);
		if (!crowd_has_room(&crowd, uid, trusted))
			drop_idle();
		if (crowd_has_room(&crowd, uid, trusted))
			open_local(fd, uid);
		else
			refuse(fd, uid);
	}
}

bool
stream_finish(void)
{
	int64_t now = clock_mono_ms();
	on_accept(&accept_watch, EPOLLIN);
	for (const struct stream *s = newest_local; s != NULL; s = s->older)
		if (s->session.in_flight > 0 || s->out_n > 0 ||
		    now - s->seen_ms < AT_WORK_MS)
			return false;
	return true;
}

/* ---- the link to bounce, and those that listen announces ---- */

void
stream_serve(int fd, const struct facts *f)
{
	struct stream *s = stream_open(fd, SESSION_SMTP, f->sid);
	if (s != NULL) /* else its peer sees the end */
		s->session.relay = f->relay;
}

void
stream_bounce_link(int fd)
{
	if (bounce != NULL)
		stream_close(bounce);
	bounce = stream_open(fd, SESSION_BOUNCE, STR("bounce"));
	if (bounce != NULL)
		bounce->session.relay = true;
}

void
stream_pickup_link(int fd)
{
	if (pickup != NULL)
		stream_close(pickup);
	pickup = stream_open(fd, SESSION_PICKUP, STR("pickup"));
}

/* ---- all of them ---- */

void
stream_set_limits(const struct stream_limits *l)
{
	limits = *l;
	session_set_limits(&l->session);
}

void
stream_init(struct spool *s, int listen_fd, const struct stream_limits *l)
{
	session_init(s);
	stream_set_limits(l);
	accept_watch = (struct watch){ .fd = listen_fd, .ready = on_accept };
	door_open(&accept_watch, "run/queue");
}

static void
feed_starved(void)
{
	struct stream *s = starved;
	starved = NULL;
	while (s != NULL) {
		struct stream *next = s->next_starved;
		s->starved = false;
		go_on(s);
		s = next;
	}
}

/* ms until it must run again, -1 when nothing waits for memory. */
static int
relieve_starved(void)
{
	if (starved == NULL)
		return -1;
	if (bytes_in_use() > limits.memory) /* not to be back at once */
		session_relieve(limits.memory / 8 * 7);
	if (bytes_in_use() <= limits.memory)
		feed_starved();
	return starved == NULL ? -1 : STARVED_MS;
}

int
stream_run(void)
{
	int timeout = relieve_starved();
	while (to_flush != NULL) {
		struct stream *s = to_flush;
		to_flush = s->next;
		s->dirty = false;
		flush_answers(s);
		if (s->watch.fd >= 0) {
			go_on(s);
		} else if (s->session.in_flight == 0 && !s->dirty) {
			stream_count--;
			free(s);
		}
	}
	return timeout;
}
