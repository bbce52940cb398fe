/* SPDX-License-Identifier: ISC
 * postern-bounce: writes the report about recipients that failed and queues it.
 * Resident, one process, user posternb.  It reads what strangers' servers said
 * and the original's header, and can reach nothing: no file, no socket but its
 * links to qmgr (jobs in, reports out) and queued (a frame stream).
 *
 * A job is kept until qmgr has its report: when queued goes away in between,
 * it is sent again, and queued itself knows whether the first one counted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/clock.h"
#include "common/control.h"
#include "common/die.h"
#include "common/frameio.h"
#include "common/io.h"
#include "common/limits.h"
#include "common/link.h"
#include "common/log.h"
#include "common/role.h"
#include "common/sandbox.h"
#include "queue/dsn.h"
#include "queue/pool.h"

static const struct sandbox_rule rules[] = {
	ALLOW_HEAP,
	ALLOW_LOOP,
	ALLOW_PACKETS,
	ALLOW(pread64, "the original's header, by its descriptor"),
};

enum {
	JOBS_MAX = 256, /* kept at a time; qmgr sends fewer */
	RCPTS_MAX = PACKET_MAX / 12,
	MESSAGE_MAX = LIMIT_SMALL_BODY, /* queued takes no larger one */
	OUT_MAX = MESSAGE_MAX + 64 * 1024
};

struct job {
	struct job *next;
	int fd;
	bool orphan;  /* of a qmgr that is gone: no report */
	char verdict; /* of queued; 0: none yet */
	struct buf text;
	char text_space[LIMIT_REPORT];
	size_t n;
	char packet[]; /* as it came */
};

/* What a job's packet says; views into it. */
struct order {
	uint64_t id, birth, offset, size;
	struct str sender;
	uint32_t n;
	uint32_t idx[RCPTS_MAX];
	struct dsn_rcpt rcpts[RCPTS_MAX];
};

struct job_list {
	struct job *first, *last;
};

static void on_job(struct link *, struct packet *, int *, size_t);
static void on_room(struct link *);
static void on_qmgr_lost(struct link *);
static void on_stream(struct watch *, uint32_t events);

static struct {
	struct link qmgr;
	struct watch queued;
	struct job_list waiting, sent, answered;
	unsigned count;
	struct buf me, from, postmaster, out, in;
	struct order order;
	char me_space[LIMIT_DOMAIN + 1], from_space[LIMIT_ADDRESS + 256];
	char postmaster_space[LIMIT_ADDRESS * 2];
	char in_space[FRAME_ROOM(LIMIT_FRAME)];
	char out_space[OUT_MAX];
	char message_space[MESSAGE_MAX];
	char head_space[DSN_HEADER_MAX];
} self = {
	.qmgr = LINK_DOWN("qmgr", on_job, on_room, on_qmgr_lost),
	.queued = { .fd = -1, .ready = on_stream },
};

/* ---- jobs ---- */

static void
push(struct job_list *list, struct job *job)
{
	job->next = NULL;
	if (list->last != NULL)
		list->last->next = job;
	else
		list->first = job;
	list->last = job;
}

static struct job *
pop(struct job_list *list)
{
	struct job *job = list->first;
	if (job == NULL)
		return NULL;
	list->first = job->next;
	if (list->first == NULL)
		list->last = NULL;
	return job;
}

static void
job_free(struct job *job)
{
	io_close(&job->fd);
	free(job);
	self.count--;
}

/* Reads a job's packet into *o.  False: it breaks the rules. */
static bool
order_read(struct packet p, struct order *o)
{
	o->id = packet_get_u64(&p);
	o->birth = packet_get_u64(&p);
	o->offset = packet_get_u64(&p);
	o->size = packet_get_u64(&p);
	o->sender = packet_get_str(&p, (size_t)LIMIT_ADDRESS * 2);
	o->n = packet_get_u32(&p);
	if (p.bad || o->n == 0 || o->n > RCPTS_MAX)
		return false;
	for (uint32_t i = 0; i < o->n; i++) {
		o->idx[i] = packet_get_u32(&p);
		o->rcpts[i].address =
		    packet_get_str(&p, (size_t)LIMIT_ADDRESS * 2);
		o->rcpts[i].text = packet_get_str(&p, LIMIT_REPORT);
	}
	return packet_end(&p);
}

static struct order *
job_order(struct job *job)
{
	struct str bytes = { .p = job->packet, .n = job->n };
	if (!order_read(packet_open(bytes), &self.order))
		bug("a job that was read before");
	return &self.order;
}

/* ---- to queued ---- */

static void
put_finishes(struct buf *out, const struct order *o)
{
	static char space[4 * RCPTS_MAX + 16];
	struct buf packed = BUF_ON(space);
	packet_u64(&packed, o->id);
	packet_u32(&packed, o->n);
	for (uint32_t i = 0; i < o->n; i++)
		packet_u32(&packed, o->idx[i]);
	frame_put(out, 'O', buf_str(&packed));
}

static void
put_message(struct buf *out, const struct order *o, struct str head)
{
	bool is_double = o->sender.n == 0;
	struct buf message = BUF_ON(self.message_space);
	struct str to = is_double ? buf_str(&self.postmaster) : o->sender;
	const struct dsn dsn = {
		.me = buf_str(&self.me),
		.from = buf_str(&self.from),
		.to = to,
		.is_double = is_double,
		.id = o->id,
		.birth = (int64_t)o->birth,
		.now_us = clock_now_us(),
		.rcpts = o->rcpts,
		.rcpt_count = o->n,
		.head = head,
	};
	dsn_put(&message, &dsn);
	frame_put(out, 'F', is_double ? STR("#@[]") : STR(""));
	frame_put(out, 'T', to);
	put_finishes(out, o);
	struct str rest = buf_str(&message);
	while (rest.n > 0) {
		struct str part = str_head(rest, LIMIT_FRAME - 1);
		frame_put(out, 'B', part);
		rest = str_skip(rest, part.n);
	}
	frame_put(out, 'C', STR(""));
	out->full = out->full || message.full;
}

/* The report for qmgr that no bounce could be made. */
static void
fail_job(struct job *job, char verdict, const char *text)
{
	job->verdict = verdict;
	job->text = BUF_ON(job->text_space);
	buf_puts(&job->text, text);
	push(&self.answered, job);
}

static void
compose(struct job *job)
{
	struct order *o = job_order(job);
	size_t most =
	    o->size < DSN_HEADER_MAX ? (size_t)o->size : (size_t)DSN_HEADER_MAX;
	int64_t n = io_pread_all(job->fd, self.head_space, most, o->offset);
	if (n < 0) {
		LOG(ERROR, "read", F_ID(o->id), F_ERRNO(errno));
		fail_job(job, 'Z', "4.3.0 the message cannot be read");
		return;
	}
	struct str head = { .p = self.head_space, .n = (size_t)n };
	put_message(&self.out, o, head);
	if (self.out.full) {
		buf_reset(&self.out);
		fail_job(job, 'D', "5.3.4 the report would be too large");
		return;
	}
	push(&self.sent, job);
}

static void
stream_lost(void)
{
	loop_remove(&self.queued);
	io_close(&self.queued.fd);
	buf_reset(&self.out);
	buf_reset(&self.in);
	/* sent ones go first again, in their order */
	if (self.sent.first == NULL)
		return;
	self.sent.last->next = self.waiting.first;
	if (self.waiting.last == NULL)
		self.waiting.last = self.sent.last;
	self.waiting.first = self.sent.first;
	self.sent = (struct job_list){ NULL, NULL };
}

static void
report(void)
{
	static char space[4 * RCPTS_MAX + LIMIT_REPORT + 64];
	while (self.answered.first != NULL) {
		struct job *job = self.answered.first;
		struct buf out = BUF_ON(space);
		if (!job->orphan) {
			struct order *o = job_order(job);
			packet_begin(&out, 'R');
			packet_u64(&out, o->id);
			packet_u8(&out, (uint8_t)job->verdict);
			packet_str(&out, buf_str(&job->text));
			packet_u32(&out, o->n);
			for (uint32_t i = 0; i < o->n; i++)
				packet_u32(&out, o->idx[i]);
			if (!link_send(&self.qmgr, &out, -1))
				return;
		}
		job_free(pop(&self.answered));
	}
}

/* Writes what is composed; composes the next when all is written. */
static void
pump(void)
{
	while (self.queued.fd >= 0) {
		if (self.out.n == 0) {
			struct job *job = pop(&self.waiting);
			if (job == NULL)
				break;
			compose(job);
			continue;
		}
		ssize_t n = write(self.queued.fd, self.out.p, self.out.n);
		if (n < 0 && errno == EAGAIN) {
			loop_change(&self.queued, EPOLLIN | EPOLLOUT);
			break;
		}
		if (n < 0 && errno != EINTR) {
			LOG(WARN, "link-lost", F_TEXT("peer", "queued"),
			    F_ERRNO(errno));
			stream_lost();
			break;
		}
		if (n > 0)
			buf_drop(&self.out, (size_t)n);
	}
	report();
}

/* ---- from queued ---- */

/* Names both messages, so that either leads to the other. */
static void
log_bounce(struct job *job, struct str id)
{
	const struct order *o = job_order(job);
	bool is_double = o->sender.n == 0;
	LOG(INFO, "bounce", F_ID(o->id), F_STR("sender", o->sender),
	    F_STR("bounce", id),
	    F_STR("to", is_double ? buf_str(&self.postmaster) : o->sender));
}

static bool
take_answer(char type, struct str text)
{
	struct job *job = pop(&self.sent);
	if (job == NULL || (type != 'K' && type != 'Z' && type != 'D'))
		return false;
	if (type == 'K')
		log_bounce(job, text);
	job->verdict = type;
	job->text = BUF_ON(job->text_space);
	buf_put(&job->text, str_head(text, sizeof(job->text_space)));
	push(&self.answered, job);
	return true;
}

static void
on_stream(struct watch *w, uint32_t events)
{
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 &&
	    !frameio_read(w->fd, &self.in, LIMIT_FRAME, take_answer)) {
		LOG(WARN, "link-lost", F_TEXT("peer", "queued"));
		stream_lost();
	}
	if (w->fd >= 0)
		loop_change(w, EPOLLIN);
	pump();
}

/* ---- from qmgr ---- */

static void
on_job(struct link *l, struct packet *p, int *fds, size_t nfds)
{
	if (p->bad || p->type != 'J' || nfds != 1 || self.count == JOBS_MAX ||
	    !order_read(*p, &self.order)) {
		link_complain(l, p->type);
		return;
	}
	/* the type byte stands before the rest */
	struct str bytes = { .p = p->rest.p - 1, .n = p->rest.n + 1 };
	struct job *job = must_alloc(sizeof(*job) + bytes.n);
	*job = (struct job){ .fd = fds[0], .n = bytes.n };
	memcpy(job->packet, bytes.p, bytes.n);
	fds[0] = -1;
	self.count++;
	push(&self.waiting, job);
	pump();
}

static void
on_room(struct link *l)
{
	(void)l;
	report();
}

/* The next qmgr asks again for what matters; what queued has is awaited. */
static void
forget_jobs(void)
{
	struct job *job;
	while ((job = pop(&self.waiting)) != NULL)
		job_free(job);
	while ((job = pop(&self.answered)) != NULL)
		job_free(job);
	for (job = self.sent.first; job != NULL; job = job->next)
		job->orphan = true;
}

/* qmgr is stopped first when the suite ends. */
static void
on_qmgr_lost(struct link *l)
{
	LOG(INFO, "link-lost", F_TEXT("peer", l->name));
	forget_jobs();
}

static void
on_link(struct str peer, int fd)
{
	if (str_eq(peer, STR("qmgr"))) {
		forget_jobs();
		(void)link_open(&self.qmgr, fd);
	} else if (str_eq(peer, STR("queued"))) {
		stream_lost();
		self.queued.fd = fd;
		if (loop_add(&self.queued, EPOLLIN) < 0)
			die(EXITCODE_TEMPORARY, "watch", errno);
		pump();
	} else {
		LOG(ERROR, "bad-link", F_STR("peer", peer));
		io_close(&fd);
	}
}

/* ---- start ---- */

static void
load(void)
{
	struct buf local = { .p = self.message_space, .cap = CONTROL_LINE_MAX };
	struct buf host = { .p = self.head_space, .cap = CONTROL_LINE_MAX };
	self.me = BUF_ON(self.me_space);
	self.from = BUF_ON(self.from_space);
	self.postmaster = BUF_ON(self.postmaster_space);
	self.in = BUF_ON(self.in_space);
	self.out = BUF_ON(self.out_space);
	if (control_line(ROLE_FD_CONTROL, "me", &self.me) < 0 ||
	    control_line(ROLE_FD_CONTROL, "bouncefrom", &local) < 0 ||
	    control_line(ROLE_FD_CONTROL, "bouncehost", &host) < 0 ||
	    control_line(ROLE_FD_CONTROL, "postmaster", &self.postmaster) < 0)
		die(EXITCODE_PERMANENT, "configuration", 0);
	buf_put(&self.from, buf_str(&local));
	buf_putc(&self.from, '@');
	buf_put(&self.from, host.n > 0 ? buf_str(&host) : buf_str(&self.me));
	if (self.postmaster.n == 0)
		buf_puts(&self.postmaster, "postmaster");
	if (str_find(buf_str(&self.postmaster), '@') == self.postmaster.n) {
		buf_putc(&self.postmaster, '@');
		buf_put(&self.postmaster, buf_str(&self.me));
	}
	if (self.from.full || self.postmaster.full)
		die(EXITCODE_PERMANENT, "bouncefrom, bouncehost: too long", 0);
}

/* It has no way to the control files any more: start runs it anew. */
static void
on_reload(void)
{
	LOG(INFO, "exit", F_TEXT("reason", "to read the settings again"));
	loop_stop();
}

int
main(int argc, char **argv)
{
	static const struct role role = {
		.name = "bounce",
		.user = "posternb",
		.help = "usage: postern-bounce\n"
			"\n"
			"Writes bounces (RFC 3464).  Run by postern-start; see "
			"postern-bounce(8).\n",
		.on_link = on_link,
		.on_reload = on_reload,
	};
	static const struct sandbox sandbox = {
		.role = "bounce",
		.rules = rules,
		.rule_count = N_ELEMENTS(rules),
	};

	role_init(&role, argc, argv);
	load();
	if (close(ROLE_FD_CONTROL) < 0)
		die(EXITCODE_TEMPORARY, "close", errno);
	sandbox_enter(&sandbox);
	role_ready();
	loop_run(NULL);
	return EXITCODE_DONE;
}
